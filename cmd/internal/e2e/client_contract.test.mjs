// What the official client makes of what the server sends: the rows of the
// behaviour contract that are about the client.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { current } from "./client_libraries.mjs";
import { openBalancer, startCluster, startServer } from "./client_process.mjs";
import { connectClient, Member, ok, soon } from "./client_socket.mjs";

const refsOf = (presence) => presence && presence.metas.map(({ phx_ref }) => phx_ref);

/**
 * A Presence of a room, of events whose frames the test makes: told(state) and
 * told(undefined, diff) have the server broadcast them. calls has what it called
 * back: ["join", key, refs before, refs that joined], ["leave", key, refs that
 * remain, refs that left] and ["sync"].
 */
async function scripted(t, key = "teller") {
  const server = await startServer(t, "rollcall");
  const client = await connectClient(t, server);
  const member = await Member.join(client, "room:1", { key });
  const presence = new current.Presence(member.channel, { events: { state: "here", diff: "moved" } });
  const calls = [];
  presence.onJoin((key, before, joined) => calls.push(["join", key, refsOf(before), refsOf(joined)]));
  presence.onLeave((key, rest, left) => calls.push(["leave", key, refsOf(rest), refsOf(left)]));
  presence.onSync(() => calls.push(["sync"]));
  let n = 0;
  const told = async (state, diff) => {
    await ok(member.push("broadcast", { event: state ? "here" : "moved", payload: state ?? diff }));
    n++;
    await member.until(() => member.events.filter(({ event }) => event === "here" || event === "moved").length === n);
    return calls.splice(0);
  };
  const list = () => Object.fromEntries(presence.list((key, p) => [key, refsOf(p)]));
  return { server, client, member, presence, told, list };
}

const metas = (...refs) => ({ metas: refs.map((phx_ref) => ({ phx_ref })) });
const nobody = {};

/** A client of the server of the transcripts, with all that it was sent. */
async function connectToReference(t, options = {}) {
  const server = await startServer(t, "refserver");
  const client = await connectClient(t, server, { params: { user: "a" }, ...options });
  const frames = [];
  client.socket.onMessage((message) => frames.push(message));
  /** Waits until found returns true, looked at after each message. */
  const until = (found, what) => soon(new Promise((resolve) => client.socket.onMessage(() => found() && resolve())), what);
  return { server, client, frames, until };
}

/** Pushes what is not answered. */
const tell = (channel, event, payload) => channel.push(event, payload).cancelTimeout();

describe("presence of the client", { concurrency: true }, () => {
  test("presence listens to presence_state and presence_diff, and to other events where it is told to", async (t) => {
    const { member, told, list } = await scripted(t, "alice");
    await member.present("alice");
    assert.deepEqual(list(), nobody);
    await told({ bob: metas("1") });
    await told(undefined, { joins: { carol: metas("2") }, leaves: {} });
    assert.deepEqual(list(), { bob: ["1"], carol: ["2"] });
    await member.present("alice");
  });

  test("diffs before the state wait for it, after each join", async (t) => {
    const { client, member, told, list } = await scripted(t);
    assert.deepEqual(await told(undefined, { joins: { alice: metas("2") }, leaves: { alice: metas("1") } }), []);
    assert.deepEqual(list(), nobody);
    assert.deepEqual(await told({ alice: metas("1") }), [
      ["join", "alice", undefined, ["1"]],
      ["join", "alice", ["1"], ["2"]],
      ["leave", "alice", ["2"], ["1"]],
      ["sync"],
    ]);
    assert.deepEqual((await told(undefined, { joins: { bob: metas("3") }, leaves: {} })).at(-1), ["sync"]);

    await member.present("teller");
    client.socket.conn.close();
    await member.until(() => member.events.filter(({ event }) => event === "presence_state").length === 2, "the state of another join");
    assert.deepEqual(await told(undefined, { joins: { carol: metas("4") }, leaves: {} }), []);
    await told({ bob: metas("3") });
    assert.deepEqual(list(), { bob: ["3"], carol: ["4"] });
  });

  test("the state comes once for each join, before any diff, and without it nobody is there", async (t) => {
    const { client, member, told, list } = await scripted(t);
    await told(undefined, { joins: { alice: metas("1") }, leaves: {} });
    assert.deepEqual(list(), nobody);
    client.socket.onOpen(() => member.events.push({ event: "presence_open" }));
    for (let joins = 1; joins < 4; joins++) {
      await member.present("teller");
      const before = member.channel.joinRef();
      client.socket.conn.close();
      await member.until(() => member.presence.joinRef !== before, "the state of another join");
    }
    await member.present("teller");
    const events = member.events.map(({ event }) => event).filter((event) => event.startsWith("presence_"));
    assert.match(events.join(" "), /^presence_state( presence_diff)*( presence_open presence_state( presence_diff)*){3}$/);
    await told(nobody);
    assert.deepEqual(list(), { alice: ["1"] }, "a late state is as good");
  });

  test("a new state makes those leave who are not in it, and nobody join who was there", async (t) => {
    const { server, client, member, presence, told, list } = await scripted(t);
    await told({ alice: { metas: [{ phx_ref: "1", x: 1 }] }, bob: metas("2", "3") });
    assert.deepEqual(await told({ alice: { metas: [{ phx_ref: "1", x: 2 }, { phx_ref: "4" }] }, bob: metas("3"), dora: metas("5") }), [
      ["join", "alice", ["1"], ["4"]],
      ["join", "dora", undefined, ["5"]],
      ["leave", "bob", ["3"], ["2"]],
      ["sync"],
    ]);
    assert.equal(presence.state.alice.metas[0].x, 1, "metas are told apart by phx_ref alone");
    assert.deepEqual(await told({ alice: metas("1", "4"), dora: metas("5") }), [["leave", "bob", [], ["3"]], ["sync"]]);
    assert.deepEqual(list(), { alice: ["1", "4"], dora: ["5"] });

    // The states of the server itself, over a new connection: whoever stays has
    // the same phx_ref in each.
    const [one, two] = [await connectClient(t, server), await connectClient(t, server)];
    await Member.join(one, "room:1", { key: "stays" });
    const goes = await Member.join(two, "room:1", { key: "goes" });
    await member.present("goes", "stays", "teller");
    member.history = [];
    client.socket.conn.close();
    await ok(goes.channel.leave());
    await member.until(() => member.history.includes("-goes") && member.history.includes("-teller") && member.people.teller?.length === 1, "a new state");
    assert.deepEqual(member.history.toSorted(), ["+teller", "-goes", "-teller"]);
  });

  test("of a diff the joins come first, new metas come last, and none is there twice", async (t) => {
    const { member, told, list } = await scripted(t);
    await told({ alice: metas("1", "2") });
    assert.deepEqual(await told(undefined, { joins: { alice: metas("3", "2"), bob: metas("9") }, leaves: { alice: metas("1"), bob: metas("9") } }), [
      ["join", "alice", ["1", "2"], ["3", "2"]],
      ["join", "bob", undefined, ["9"]],
      ["leave", "alice", ["3", "2"], ["1"]],
      ["leave", "bob", [], ["9"]],
      ["sync"],
    ]);
    assert.deepEqual(list(), { alice: ["3", "2"] });

    await member.present("teller");
    member.history = [];
    await ok(member.push("update_meta", { meta: { x: 1 } }));
    await member.until(() => member.people.teller[0].x === 1);
    assert.deepEqual(member.history, ["+teller", "-teller"], "an update of the server is a join and a leave");
  });

  test("phx_ref is the same wherever it is seen, and nowhere there twice", async (t) => {
    const replicas = await startCluster(t, "rollcall");
    const clients = await Promise.all([0, 1, 0, 1].map((n) => connectClient(t, replicas[n])));
    const members = await Promise.all(clients.map((client, n) => Member.join(client, "room:1", { key: n < 2 ? "alice" : `user ${n}` })));
    await Promise.all(members.map((member) => ok(member.push("update_meta", { meta: { x: 1 } }))));
    const all = (member) => Object.values(member.presence.state).flatMap((p) => p.metas);
    for (const member of members) await member.until(() => all(member).length === 4 && all(member).every(({ x }) => x === 1), "all metas");
    const [first, ...others] = members.map((member) => all(member).map(({ phx_ref }) => phx_ref).toSorted());
    assert.equal(new Set(first).size, 4);
    for (const other of others) assert.deepEqual(other, first);
  });

  test("a key goes with its last meta, and one that is not there goes without a trace", async (t) => {
    const { server, member, told, list } = await scripted(t);
    await told({ alice: metas("1", "2") });
    assert.deepEqual(await told(undefined, { joins: {}, leaves: { ghost: metas("9"), alice: metas("1") } }), [["leave", "alice", ["2"], ["1"]], ["sync"]]);
    assert.deepEqual(await told(undefined, { joins: {}, leaves: { alice: metas("2") } }), [["leave", "alice", [], ["2"]], ["sync"]]);
    assert.deepEqual(list(), nobody);

    const devices = await Promise.all([1, 2].map(async () => Member.join(await connectClient(t, server), "room:1", { key: "alice" })));
    await member.until(() => member.people.alice?.length === 2);
    await ok(devices[0].channel.leave());
    await member.until(() => member.people.alice?.length === 1);
    await ok(devices[1].channel.leave());
    await member.present("teller");
  });

  test("a list is in the order in which keys came", async (t) => {
    const { server, member, told, presence } = await scripted(t, "zoe");
    await told({ c: metas("1"), a: metas("2") });
    await told(undefined, { joins: { b: metas("3"), c: metas("4") }, leaves: { c: metas("1") } });
    assert.deepEqual(presence.list((key) => key), ["c", "a", "b"]);
    await member.present("zoe");
    for (const key of ["mia", "ada"]) {
      await Member.join(await connectClient(t, server), "room:1", { key });
      await member.until(() => member.people[key]);
    }
    assert.deepEqual(member.presence.list((key) => key), ["zoe", "mia", "ada"]);
  });
});

describe("channels of the client", { concurrency: true }, () => {
  test("pushes before the join is answered wait, and go in order", async (t) => {
    const { client, frames } = await connectToReference(t);
    const channel = client.socket.channel("echo:a", { bare: true });
    const said = [];
    channel.on("shout", ({ n }) => said.push(n));
    const joined = channel.join();
    for (const n of [1, 2, 3, 4, 5]) channel.push("shout_reply", { n });
    assert.deepEqual(frames, []);
    await ok(joined);
    await ok(channel.push("ping", {}));
    assert.deepEqual(said, [1, 2, 3, 4, 5]);
    assert.deepEqual([frames[0].event, frames[0].ref], ["phx_reply", channel.joinRef()]);
  });

  test("messages of a former join are dropped, those of none are taken", async (t) => {
    const dropped = [];
    const logger = (kind, text, { event, joinRef } = {}) => text === "dropping outdated message" && dropped.push([event, joinRef]);
    const { client } = await connectToReference(t, { logger });
    const former = client.socket.channel("echo:a", { bare: true });
    await ok(former.join());
    const ref = former.joinRef();
    former.leave();
    const now = client.socket.channel("echo:a", { bare: true });
    await ok(now.join());
    const heard = new Promise((resolve) => now.on("shout", resolve));
    tell(now, "shout", { n: 1 }); // a broadcast, which is of no join
    assert.deepEqual(await soon(heard, "the broadcast"), { n: 1 });
    assert.equal(now.state, "joined");
    assert.deepEqual(dropped.filter(([event]) => event === "phx_close"), [["phx_close", ref]]);
  });

  test("a channel that crashes is joined again, one that ends is not", async (t) => {
    const { client, frames, until } = await connectToReference(t, { rejoinAfterMs: (tries) => 20 * tries });
    const [crashing, ending] = ["echo:crash", "echo:end"].map((topic) => client.socket.channel(topic, { bare: true }));
    await Promise.all([ok(crashing.join()), ok(ending.join())]);
    const of = (topic, event) => frames.filter((frame) => frame.topic === topic && frame.event === event);
    const closed = new Promise((resolve) => ending.onClose(resolve));
    tell(ending, "stop", {});
    await soon(closed, "the end of the channel");
    assert.deepEqual([ending.state, client.socket.channels.includes(ending)], ["closed", false]);
    for (let n = 1; n <= 3; n++) {
      const rejoined = until(() => of("echo:crash", "phx_reply").length === n + 1, "the rejoin");
      tell(crashing, "crash", {});
      await rejoined;
      assert.equal(of("echo:crash", "phx_error").length, n);
      assert.equal(crashing.state, "joined");
    }
    assert.deepEqual(of("echo:crash", "phx_close"), []);
    assert.deepEqual([of("echo:end", "phx_close").length, of("echo:end", "phx_error").length], [1, 0]);
    assert.equal(of("echo:end", "phx_reply").filter(({ payload }) => payload.status === "ok").length, 1, "joined once");
    assert.deepEqual(client.closes, []);
  });
});

/** A WebSocket that tells what the client closes it with. */
const observed = (closes) => class extends WebSocket {
  close(code, reason) {
    closes.push([code, reason]);
    super.close(code, reason);
  }
};

describe("connections of the client", { concurrency: true }, () => {
  test("a connection without answers to heartbeats is closed, and replaced when there are any", async (t) => {
    const closes = [];
    const { server, client, frames, until } = await connectToReference(t, { transport: observed(closes), heartbeatIntervalMs: 400 });
    const channel = client.socket.channel("echo:a", { bare: true });
    await ok(channel.join());
    await until(() => frames.filter(({ topic }) => topic === "phoenix").length === 3, "answers to heartbeats");
    assert.deepEqual([closes, client.opens], [[], 1]);

    const errored = new Promise((resolve) => channel.onError(resolve));
    server.child.kill("SIGSTOP");
    assert.deepEqual(await soon(errored, "the heartbeat to be missed"), { source: "transport", reason: "heartbeat_timeout" });
    assert.deepEqual(closes, [[1000, "heartbeat timeout"]]);
    server.child.kill("SIGCONT");
    await ok(channel.push("ping", {})); // which waits until it has joined again
    assert.equal(client.opens, 2);
  });

  const networks = {
    "lets no WebSocket through": [(request, socket) => socket.destroy(), "LongPoll"],
    "lets WebSockets hang": [() => {}, "LongPoll"],
    "swallows what goes through a WebSocket": [(request, socket, head) => new WebSocketServer({ noServer: true }).handleUpgrade(request, socket, head, () => {}), "LongPoll"],
  };
  test("the client falls back to long polling where the network leaves it no WebSocket, and only there", async (t) => {
    const server = await startServer(t, "rollcall");
    const balancer = await openBalancer(t, [server]);
    const options = { longPollFallbackMs: 500 };
    const open = async (through) => {
      const client = await connectClient(t, through, options);
      const alice = await Member.join(client, "room:1", { key: "alice" });
      await alice.present("alice");
      assert.deepEqual(Object.keys(await ok(alice.push("list"))), ["alice"]);
      const used = client.socket.transport === WebSocket ? "WebSocket" : "LongPoll";
      await ok(alice.channel.leave());
      return [used, client];
    };
    for (const [network, [upgrade, transport]] of Object.entries(networks)) {
      balancer.upgrade = upgrade;
      assert.equal((await open(balancer))[0], transport, network);
    }
    const [used, client] = await open(server);
    assert.equal(used, "WebSocket");
    assert.ok(client.socket.primaryPassedHealthCheck, "its ping was answered");
    assert.equal(client.opens, 1);
  });
});
