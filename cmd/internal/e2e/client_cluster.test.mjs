// Two replicas of the service in one cluster, of which one goes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { openDoor, startCluster, startServer } from "./client_process.mjs";
import { closed, connectClient, Member, ok, soon } from "./client_socket.mjs";

/**
 * A cluster whose users see each other: alice comes in by a door that leads to
 * replica a, bob is at replica b.
 */
async function party(t) {
  const [a, b] = await startCluster(t, "rollcall");
  const door = await openDoor(t, a);
  const [one, two] = await Promise.all([connectClient(t, door), connectClient(t, b)]);
  const alice = await Member.join(one, "room:1", { key: "alice", meta: { color: "red" } });
  const bob = await Member.join(two, "room:1", { key: "bob" });
  await Promise.all([alice.present("alice", "bob"), bob.present("alice", "bob")]);
  return { a, b, door, one, two, alice, bob };
}

test("presence and broadcasts cross replicas", async (t) => {
  const { a, b, alice, bob } = await party(t);
  assert.deepEqual(bob.people, { alice: [{ color: "red" }], bob: [{}] });
  await ok(alice.push("update_meta", { meta: { color: "blue" } }));
  await bob.until(() => bob.people.alice[0].color === "blue");
  for (let n = 0; n < 20; n++) (n % 2 ? alice : bob).push("broadcast", { event: "say", payload: { n } });
  for (const member of [alice, bob]) {
    await member.until(() => member.events.filter(({ event }) => event === "say").length === 20);
    for (const parity of [0, 1]) {
      const said = member.events.filter(({ event, payload }) => event === "say" && payload.n % 2 === parity).map(({ payload }) => payload.n);
      assert.deepEqual(said, said.toSorted((x, y) => x - y), "what one client says comes in order");
    }
  }
  for (const replica of [a, b]) {
    const health = await replica.health();
    assert.deepEqual([health.code, health.status, health.routes, health.connections], [200, "ok", 1, 1]);
  }
  await ok(alice.channel.leave());
  await bob.present("bob");
});

test("the users of a killed replica vanish, and are back when they reconnect elsewhere", async (t) => {
  const { a, b, door, one, two, alice, bob } = await party(t);
  const three = await connectClient(t, b);
  const carol = await Member.join(three, "room:1", { key: "carol" });
  await bob.present("alice", "bob", "carol");
  const history = bob.history.length;
  const told = bob.events.length;

  const killed = Date.now();
  const before = b.log.length;
  assert.equal(await a.end("SIGKILL"), "SIGKILL");
  await bob.present("bob", "carol");
  t.diagnostic(`gone after ${Date.now() - killed} ms`);
  // The network said so: silence would take much longer.
  assert.match((await b.logged(/status=down why=.*/, before))[0], /why="gone from the network"/);

  door.server = b;
  await bob.present("alice", "bob", "carol");
  await alice.present("alice", "bob", "carol");
  assert.deepEqual(alice.people.alice, [{ color: "red" }]);
  assert.deepEqual(one.closes[0], 1006);
  await ok(alice.push("broadcast", { event: "say", payload: { back: true } }));
  assert.deepEqual(await bob.event("say"), { back: true });

  assert.deepEqual(bob.history.slice(history), ["-alice", "+alice"], "and nothing else happened");
  assert.deepEqual(bob.events.slice(told).map(({ event }) => event), ["presence_diff", "presence_diff", "say"]);
  assert.deepEqual([two.closes, three.closes], [[], []]);
  assert.equal(carol.channel.state, "joined");
});

test("the users of a replica that is shut down leave at once, and move on", async (t) => {
  const { a, b, door, one, two, alice, bob } = await party(t);
  const history = bob.history.length;
  const code = closed(one);
  const signalled = Date.now();
  const ended = a.end("SIGTERM");
  await bob.present("bob");
  const after = Date.now() - signalled;
  t.diagnostic(`gone after ${after} ms`);
  assert.ok(after < 1000, `gone after ${after} ms: it was told, not missed`);
  assert.equal(await code, 1012);
  assert.equal(await soon(ended, "the process to end"), 0);
  door.server = b;
  await Promise.all([alice.present("alice", "bob"), bob.present("alice", "bob")]);
  assert.deepEqual(bob.history.slice(history), ["-alice", "+alice"]);
  assert.deepEqual(two.closes, []);
});

test("a killed replica comes back under its name and is one of the cluster again", async (t) => {
  const { a, alice, bob } = await party(t);
  const args = a.child.spawnargs.slice(2); // without the binary and "serve"
  await a.end("SIGKILL");
  await startServer(t, "rollcall", [...args, "--listen", `127.0.0.1:${a.port}`]);
  await alice.until(() => alice.channel.state === "joined" && alice.people.bob);
  await bob.present("alice", "bob");
  assert.deepEqual(bob.people.alice, [{ color: "red" }], "not twice");
  await ok(alice.push("broadcast", { event: "say", payload: { back: true } }));
  assert.deepEqual(await bob.event("say"), { back: true });
});
