// One replica of the service, and the official client.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startServer } from "./client_process.mjs";
import { connectClient, Member, ok, Raw, refused, soon } from "./client_socket.mjs";

test("a client that joins sees who is there, and is seen", async (t) => {
  const server = await startServer(t, "rollcall");
  const [one, two] = [await connectClient(t, server), await connectClient(t, server)];
  const alice = await Member.join(one, "room:1", { key: "alice", meta: { color: "red" } });
  await alice.present("alice");
  assert.equal((await server.health()).connections, 2);
  const bob = await Member.join(two, "room:1", { key: "bob" });
  await Promise.all([alice.present("alice", "bob"), bob.present("alice", "bob")]);
  assert.deepEqual(alice.people, { alice: [{ color: "red" }], bob: [{}] });
  assert.deepEqual(bob.people, alice.people);
  assert.deepEqual(alice.history, ["+alice", "+bob"]);

  await ok(bob.channel.leave());
  await alice.present("alice");
  assert.deepEqual(alice.history, ["+alice", "+bob", "-bob"]);
});

test("two devices of one user are two metas of one key", async (t) => {
  const server = await startServer(t, "rollcall");
  const [phone, laptop, other] = await Promise.all([1, 2, 3].map(() => connectClient(t, server)));
  const bob = await Member.join(other, "room:1", { key: "bob" });
  const onPhone = await Member.join(phone, "room:1", { key: "alice", meta: { on: "phone" } });
  await bob.until(() => bob.people.alice);
  await Member.join(laptop, "room:1", { key: "alice", meta: { on: "laptop" } });
  await bob.until(() => bob.people.alice.length === 2);
  assert.deepEqual(bob.people.alice, [{ on: "phone" }, { on: "laptop" }]);

  const response = await ok(onPhone.push("update_meta", { meta: { on: "phone", away: true } }));
  assert.deepEqual(Object.keys(response), ["phx_ref"]);
  await bob.until(() => bob.presence.state.alice.metas.some((meta) => meta.phx_ref === response.phx_ref));
  assert.deepEqual(bob.people.alice.toSorted((a, b) => a.on.localeCompare(b.on)), [{ on: "laptop" }, { on: "phone", away: true }]);

  laptop.socket.disconnect();
  await bob.until(() => bob.people.alice.length === 1);
  assert.deepEqual(bob.people.alice, [{ on: "phone", away: true }]);
});

test("pushes are answered, and broadcasts reach everybody", async (t) => {
  const server = await startServer(t, "rollcall");
  const [one, two] = [await connectClient(t, server), await connectClient(t, server)];
  const alice = await Member.join(one, "room:1", { key: "alice" });
  const bob = await Member.join(two, "room:1", { key: "bob" });
  await alice.present("alice", "bob");

  assert.deepEqual(await ok(alice.push("broadcast", { event: "say", payload: { text: "hé" } })), {});
  assert.deepEqual(await bob.event("say"), { text: "hé" });
  assert.deepEqual(await alice.event("say"), { text: "hé" });
  assert.deepEqual(Object.keys(await ok(alice.push("list"))).toSorted(), ["alice", "bob"]);
  assert.deepEqual(await ok(alice.push("untrack")), {});
  await bob.present("bob");
});

test("what cannot be is refused with a reason, and the channel lives", async (t) => {
  const server = await startServer(t, "rollcall");
  const client = await connectClient(t, server);
  const { socket } = client;
  assert.equal(await refused(socket.channel("lobby", { key: "alice" }).join()), "unmatched topic");
  const keyless = socket.channel("room:1", {});
  assert.match(await refused(keyless.join()), /"key" is missing/);
  keyless.leave();
  const heavy = socket.channel("room:2", { key: "alice", meta: { x: "x".repeat(8 << 10) } });
  assert.match(await refused(heavy.join()), /"meta" is too large: 8200 bytes, at most 8192/);
  heavy.leave();

  const alice = await Member.join(client, "room:3", { key: "alice" });
  assert.match(await refused(alice.push("dance")), /unknown event "dance"/);
  assert.match(await refused(alice.push("update_meta", {})), /"meta" is missing/);
  assert.match(await refused(alice.push("broadcast", { event: "phx_close" })), /must not begin with "phx_"/);
  assert.deepEqual(Object.keys(await ok(alice.push("list"))), ["alice"]);
  assert.equal(alice.channel.state, "joined");
  assert.deepEqual(client.closes, []);
});

test("a malformed or too large frame ends its own connection only", async (t) => {
  const server = await startServer(t, "rollcall");
  const client = await connectClient(t, server);
  const alice = await Member.join(client, "room:1", { key: "alice" });
  await alice.present("alice");

  const bad = {
    "no JSON": ["hello", 1011],
    "no array": ['{"topic":"room:1"}', 1011],
    "too short": ['["1","1","room:1"]', 1011],
    "a topic that is no string": ['["1","1",7,"phx_join",{}]', 1011],
    "binary that is cut off": [Buffer.from([0, 200, 1, 1]), 1011],
    "text that is no UTF-8": [Buffer.from([0x22, 0xff, 0x22]), 1007],
    "2 MB of meta": [JSON.stringify(["1", "2", "room:1", "update_meta", { meta: { x: "x".repeat(2_000_000) } }]), 1009],
  };
  for (const [what, [frame, code]] of Object.entries(bad)) {
    const raw = await Raw.connect(t, server);
    assert.deepEqual(await raw.ask("1", "1", "room:1", "phx_join", { key: "mallory" }), { status: "ok", response: {} });
    await alice.present("alice", "mallory");
    raw.ws.send(frame, { binary: Buffer.isBuffer(frame) && code !== 1007 });
    assert.equal(await soon(raw.closed, `the end of ${what}`), code, what);
    await alice.present("alice");
  }
  assert.deepEqual(client.closes, []);
  await ok(alice.push("list"));
});

test("a secret is required of clients when there is one", async (t) => {
  const server = await startServer(t, "rollcall", ["--secret", "open & shut"]);
  for (const query of ["", "&secret=", "&secret=open", "&secret[]=open"]) assert.equal(await Raw.connect(t, server, { query }), 403, query);
  assert.equal(await Raw.connect(t, server, { protocols: ["phoenix", "base64url.bearer.phx.b3Blbg"] }), 403);
  for (const options of [{ params: { secret: "open & shut" } }, { authToken: "open & shut" }]) {
    const client = await connectClient(t, server, options);
    await Member.join(client, "room:1", { key: "alice" });
  }
  assert.doesNotMatch(server.log, /authentication/);
  assert.doesNotMatch(server.log, /shut/);
});

test("the secret may come from the environment", async (t) => {
  const server = await startServer(t, "rollcall", [], { ROLLCALL_SECRET: "x" });
  assert.equal(await Raw.connect(t, server), 403);
  assert.ok((await Raw.connect(t, server, { query: "&secret=x" })).ws);
});
