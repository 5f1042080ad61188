// How long the official client waits by default, with timers that the test turns
// on: the rest, the network too, is real.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { WebSocket } from "ws";
import { current } from "./client_libraries.mjs";
import { freePorts, startServer } from "./client_process.mjs";

/** A client of a server at a port, with the defaults; sent has what it sends. */
function connect(t, port) {
  const connections = [];
  const sent = [];
  class Observed extends WebSocket {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
    send(data) {
      sent.push(JSON.parse(data)[3]);
      super.send(data);
    }
  }
  const socket = new current.Socket(`ws://127.0.0.1:${port}/socket`, { transport: Observed, params: { user: "a" } });
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => {
    socket.disconnect();
    mock.timers.reset();
  });
  socket.connect();
  return { socket, connections, sent };
}

const closed = (connection) => new Promise((resolve) => connection.on("close", resolve));
const opened = (socket) => new Promise((resolve) => socket.onOpen(resolve));

/** Asserts that something happens after ms, and not before. */
function happensAfter(ms, count, what) {
  const before = count();
  mock.timers.tick(ms - 1);
  assert.equal(count(), before, `${what} before ${ms} ms`);
  mock.timers.tick(1);
  assert.equal(count(), before + 1, `${what} after ${ms} ms`);
}

test("the client connects again after 10 ms, then ever later, at last after 5 s, and at once where there is a server", async (t) => {
  const [port] = await freePorts(1);
  const { socket, connections } = connect(t, port);
  const pauses = [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000];
  for (const pause of pauses) {
    await closed(connections.at(-1));
    happensAfter(pause, () => connections.length, "another attempt");
  }
  await closed(connections.at(-1));
  const open = opened(socket);
  await startServer(t, "refserver", ["--listen", `127.0.0.1:${port}`]);
  happensAfter(5000, () => connections.length, "another attempt");
  await open;
  connections.at(-1).terminate();
  await closed(connections.at(-1));
  happensAfter(10, () => connections.length, "an attempt, the first of another row,");
});

test("the client joins again after 1, 2, 5 and then 10 s, when it was refused or the channel has crashed", async (t) => {
  const server = await startServer(t, "refserver");
  const { socket, sent } = connect(t, server.port);
  await opened(socket);
  let answered;
  socket.onMessage(({ topic }) => topic === "echo:a" && answered?.());
  const next = () => new Promise((resolve) => (answered = resolve));
  const joins = () => sent.filter((event) => event === "phx_join").length;

  let deny = true;
  const channel = socket.channel("echo:a", () => ({ deny }));
  let answer = next();
  channel.join();
  for (const pause of [1000, 2000, 5000, 10000]) {
    await answer;
    assert.equal(channel.state, "errored");
    answer = next();
    happensAfter(pause, joins, "another join");
  }
  deny = false;
  await answer;
  answer = next();
  happensAfter(10000, joins, "another join");
  await answer;
  assert.equal(channel.state, "joined");

  answer = next();
  channel.push("crash", {}).cancelTimeout();
  await answer;
  assert.equal(channel.state, "errored");
  happensAfter(1000, joins, "a join, the first of another row,");
});

test("the client waits 10 s for an answer to a push", async (t) => {
  const server = await startServer(t, "refserver");
  const { socket } = connect(t, server.port);
  await opened(socket);
  const channel = socket.channel("echo:a", { bare: true });
  await new Promise((resolve) => channel.join().receive("ok", resolve));
  let timeouts = 0;
  channel.push("noreply", {}).receive("timeout", () => timeouts++);
  const answered = channel.push("ping", {}).receive("timeout", () => timeouts++);
  await new Promise((resolve) => answered.receive("ok", resolve));
  happensAfter(10_000, () => timeouts, "giving up");
});
