// A server that is killed and started again at its port, and its clients, which
// do nothing about it themselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startServer } from "./client_process.mjs";
import { connectClient, Member, refused } from "./client_socket.mjs";

const commands = {
  rollcall: { topic: "room:1", params: (name) => ({ key: name, meta: { name } }) },
  pointingparty: { topic: "party:1", params: (name) => ({ name }) },
};

for (const [command, { topic, params }] of Object.entries(commands)) {
  test(`clients of ${command} rejoin by themselves after it was killed, and presence is right`, async (t) => {
    const first = await startServer(t, command);
    const names = ["alice", "bob", "carol"];
    const clients = await Promise.all(names.map(() => connectClient(t, first)));
    const members = await Promise.all(clients.map((client, i) => Member.join(client, topic, params(names[i]))));
    await Promise.all(members.map((member) => member.present(...names)));

    await first.end("SIGKILL");
    clients[2].socket.disconnect(); // carol does not come back
    const late = members[0].push("dance"); // waits in the client until it has joined again
    await startServer(t, command, ["--listen", `127.0.0.1:${first.port}`]);
    await Promise.all(members.slice(0, 2).map((member) => member.present("alice", "bob")));
    assert.match(await refused(late), /^unknown event "dance"/);
    for (const client of clients.slice(0, 2)) {
      assert.equal(client.closes[0], 1006);
      assert.equal(client.opens, 2);
    }
    for (const member of members.slice(0, 2)) {
      for (const key of ["alice", "bob"]) assert.equal(member.presence.state[key].metas.length, 1, "nobody is there twice");
    }
  });
}
