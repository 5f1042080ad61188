// The pointing party without its page: what the official client is sent and
// answered, on one replica and across two.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster, startServer } from "./client_process.mjs";
import { connectClient, Member, ok, Raw, refused, soon } from "./client_socket.mjs";

async function sit(t, servers, ...names) {
  const clients = await Promise.all(names.map((_, i) => connectClient(t, servers[i % servers.length])));
  const members = [];
  for (const [i, name] of names.entries()) {
    members.push(await Member.join(clients[i], "party:team", { name }));
    await Promise.all(members.map((member) => member.present(...names.slice(0, i + 1))));
  }
  // Everybody's table has everybody at it.
  await Promise.all(members.map((member) => member.event("round", (round) => round.present === names.length)));
  return members;
}

for (const [where, start] of Object.entries({
  "one replica": async (t) => [await startServer(t, "pointingparty")],
  "two replicas": (t) => startCluster(t, "pointingparty"),
})) {
  test(`a round is played on ${where}`, async (t) => {
    const [alice, bob] = await sit(t, await start(t), "alice", "bob");
    await ok(alice.push("start_pointing"));
    for (const member of [alice, bob]) {
      const card = await member.event("new_card");
      assert.equal(card.driver, "alice");
      await member.event("round", (round) => round.phase === "voting" && round.n === card.n);
    }

    await ok(alice.push("user_estimated", { points: 5 }));
    await bob.until(() => bob.people.alice[0].vote);
    assert.deepEqual(Object.keys(bob.people.alice[0].vote), ["card"], "that she voted, not what");
    assert.ok(!bob.events.some(({ event }) => ["winner", "tie"].includes(event)));

    await ok(bob.push("user_estimated", { points: 3 }));
    for (const member of [alice, bob]) assert.deepEqual(await member.event("tie"), { points: [3, 5], votes: { alice: 5, bob: 3 } });

    assert.match(await refused(bob.push("next_card")), /alice is driving/);
    await ok(alice.push("next_card"));
    for (const member of [alice, bob]) {
      await member.event("new_card", (card) => card.n === 2);
      await member.until(() => !member.people.alice[0].vote && !member.people.bob[0].vote, "votes that are cleared");
    }
    await Promise.all([alice, bob].map((member) => ok(member.push("user_estimated", { points: 1 }))));
    for (const member of [alice, bob]) assert.deepEqual(await member.event("winner"), { points: 1, votes: { alice: 1, bob: 1 } });
  });
}

test("what cannot be is refused with a reason, and the channel lives", async (t) => {
  const server = await startServer(t, "pointingparty");
  const client = await connectClient(t, server);
  assert.equal(await refused(client.socket.channel("room:1", { name: "alice" }).join()), "unmatched topic");
  const nameless = client.socket.channel("party:other", {});
  assert.match(await refused(nameless.join()), /name/);
  nameless.leave();
  const alice = await Member.join(client, "party:team", { name: "alice" });
  await alice.present("alice");
  assert.match(await refused(alice.push("dance")), /unknown event "dance"/);
  assert.match(await refused(alice.push("user_estimated", { points: 4 })), /"points" must be one of/);
  assert.match(await refused(alice.push("user_estimated", [])), /"points" must be one of/);
  assert.equal(alice.channel.state, "joined");
  await ok(alice.channel.leave());
});

test("a malformed frame ends its own connection only", async (t) => {
  const server = await startServer(t, "pointingparty");
  const client = await connectClient(t, server);
  const alice = await Member.join(client, "party:team", { name: "alice" });
  const raw = await Raw.connect(t, server);
  assert.equal((await raw.ask("1", "1", "party:team", "phx_join", { name: "mallory" })).status, "ok");
  await alice.present("alice", "mallory");
  raw.ws.send("{}");
  assert.equal(await soon(raw.closed, "the end of the connection"), 1011);
  await alice.present("alice");
  assert.deepEqual(client.closes, []);
});

test("the users of a killed replica vanish for the others, who go on", async (t) => {
  const replicas = await startCluster(t, "pointingparty");
  const [alice, bob, carol] = await sit(t, replicas, "alice", "bob", "carol");
  await ok(bob.push("start_pointing"));
  await Promise.all([alice, bob, carol].map((member) => member.event("round", (round) => round.phase === "voting" && round.present === 3)));
  await ok(alice.push("user_estimated", { points: 5 }));
  await ok(carol.push("user_estimated", { points: 5 }));
  await replicas[1].end("SIGKILL"); // bob's, who drives and has not voted
  await alice.present("alice", "carol");
  assert.deepEqual(await alice.event("winner"), { points: 5, votes: { alice: 5, carol: 5 } });
  await carol.event("winner");
  const driver = (await alice.event("round", (round) => round.phase === "revealed" && round.driver !== "bob")).driver;
  await ok((driver === "alice" ? alice : carol).push("next_card"));
  for (const member of [alice, carol]) await member.event("new_card", (card) => card.n === 2);
});
