// Real clients, unmodified, old ones too: each does what users do, loses its
// server, and comes back by itself.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import { current, first, old } from "./client_libraries.mjs";
import { openBalancer, startCluster, startServer } from "./client_process.mjs";
import { connectClient, Member, ok, refused, soon } from "./client_socket.mjs";

const kinds = {
  [`${current.name} over WebSocket`]: { library: current, transport: WebSocket },
  [`${current.name} over LongPoll`]: { library: current, transport: current.LongPoll },
  [`${old.name} over WebSocket`]: { library: old, transport: WebSocket },
  [`${old.name} over LongPoll`]: { library: old, transport: old.LongPoll },
  // It joins again each time, until it is answered.
  [`${first.name} over WebSocket`]: { library: first, transport: undefined, reconnectAfterMs: () => 300 },
};

const byDevice = (metas) => metas.toSorted((a, b) => a.on.localeCompare(b.on));

/** A user with two devices, another user, and all that they do to each other. */
async function play(t, server, kind) {
  const clients = await Promise.all([1, 2, 3].map(() => connectClient(t, server, kind)));
  const bob = await Member.join(clients[0], "room:1", { key: "bob" });
  await bob.present("bob");
  const phone = await Member.join(clients[1], "room:1", { key: "alice", meta: { on: "phone" } });
  await bob.present("alice", "bob");
  const laptop = await Member.join(clients[2], "room:1", { key: "alice", meta: { on: "laptop" } });
  const members = [bob, phone, laptop];
  for (const member of members) {
    await member.until(() => member.people.bob && member.people.alice?.length === 2, "two devices of one user");
    assert.deepEqual(byDevice(member.people.alice), [{ on: "laptop" }, { on: "phone" }]);
  }
  assert.deepEqual(bob.history, ["+bob", "+alice", "+alice"]);

  const list = await ok(bob.push("list"));
  assert.deepEqual(Object.keys(list).toSorted(), ["alice", "bob"]);
  assert.match(await refused(bob.push("dance")), /^unknown event "dance"/);

  assert.deepEqual(await ok(phone.push("broadcast", { event: "say", payload: { text: "hé" } })), {});
  for (const member of members) assert.deepEqual(await member.event("say"), { text: "hé" });

  await ok(phone.push("update_meta", { meta: { on: "phone", away: true } }));
  for (const member of members) {
    await member.until(() => member.people.alice.some((meta) => meta.away), "the update");
    assert.deepEqual(byDevice(member.people.alice), [{ on: "laptop" }, { on: "phone", away: true }]);
  }
  return { clients, bob, phone, laptop };
}

/** Asserts that bob and the phone are back, and nobody else, and that all works. */
async function back({ bob, phone }) {
  for (const member of [bob, phone]) {
    await member.until(() => {
      const { alice, bob } = member.people;
      return alice?.length === 1 && !alice[0].away && bob?.length === 1;
    }, "a fresh state without ghosts");
    assert.deepEqual(member.people, { alice: [{ on: "phone" }], bob: [{}] });
    assert.equal(member.channel.state, "joined");
  }
  await ok(bob.push("broadcast", { event: "say", payload: { text: "back" } }));
  await phone.event("say", ({ text }) => text === "back");
}

/** The phx_ref of each device, as a member sees them; nothing if one is there twice. */
function refs(member) {
  const all = member.presence.list((key, { metas }) => metas.map(({ on, phx_ref }) => [on ?? key, phx_ref])).flat();
  const one = Object.fromEntries(all);
  return Object.keys(one).length === all.length ? one : {};
}

describe("real clients", { concurrency: true }, () => {
  for (const [name, kind] of Object.entries(kinds)) {
    test(`${name}: all that users do, and a rejoin after the server was killed`, async (t) => {
      const server = await startServer(t, "rollcall");
      const party = await play(t, server, kind);
      const before = party.clients.map(({ opens }) => opens);
      await server.end("SIGKILL");
      party.clients[2].library.stop(party.clients[2].socket); // the laptop does not come back
      await startServer(t, "rollcall", ["--listen", `127.0.0.1:${server.port}`]);
      await back(party);
      assert.deepEqual(party.clients.map(({ opens }) => opens), [before[0] + 1, before[1] + 1, before[2]]);
    });
  }

  const secret = "of all replicas";
  for (const library of [current, old]) {
    test(`${library.name} over LongPoll: each request comes to another replica`, async (t) => {
      const replicas = await startCluster(t, "rollcall", ["--secret", secret]);
      const balancer = await openBalancer(t, replicas);
      await play(t, balancer, { library, transport: library.LongPoll, params: { secret } });
      for (const replica of replicas) assert.ok((await replica.health()).connections > 0, "sessions on both");
      assert.ok(balancer.passed.every((n) => n > 5), `requests to each replica: ${balancer.passed}`);
    });
  }

  // Not so the old client: told that its session is gone, it goes on with another
  // without joining again.
  test(`${current.name} over LongPoll: each request comes to another replica, and one is killed`, async (t) => {
    const replicas = await startCluster(t, "rollcall", ["--secret", secret]);
    const balancer = await openBalancer(t, replicas);
    const { clients, ...members } = await play(t, balancer, { library: current, transport: current.LongPoll, params: { secret } });
    const before = refs(members.bob);
    const opens = clients.map((client) => client.opens);
    let lost = (await replicas[0].health()).connections;
    const reopened = new Promise((resolve) => clients.forEach(({ socket }) => socket.onOpen(() => --lost === 0 && resolve())));
    await replicas[0].end("SIGKILL");
    await soon(reopened, "new sessions for those that are gone");
    const devices = Object.keys(members); // in the order of clients
    const fresh = (now, i) => clients[i].opens === opens[i] || now[devices[i]] !== before[devices[i]];
    for (const member of Object.values(members)) {
      await member.until(() => {
        const now = refs(member);
        return devices.every((device, i) => now[device] && fresh(now, i));
      }, "everybody to be there, once");
    }
    await ok(members.bob.push("broadcast", { event: "say", payload: { text: "back" } }));
    for (const member of Object.values(members)) await member.event("say", ({ text }) => text === "back");
  });
});
