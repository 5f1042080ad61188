// The built commands as processes, and a door in front of them. Whatever is
// started for a test is ended with it, also when it fails.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const variables = { rollcall: "ROLLCALL_SERVICE", pointingparty: "ROLLCALL_POINTINGPARTY", refserver: "ROLLCALL_REFSERVER" };

function binary(command) {
  const variable = variables[command];
  if (!process.env[variable]) throw new Error(`${variable} must name the ${command} binary: run these tests with go test ./cmd/internal/e2e`);
  return process.env[variable];
}

// Processes that were started and not yet seen to end.
const alive = new Set();
process.on("exit", () => alive.forEach((child) => child.kill("SIGKILL")));

/** A running command. */
class Process {
  constructor(command, args, env) {
    this.log = "";
    this.output = "";
    this.child = spawn(binary(command), args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    alive.add(this.child);
    this.child.stderr.on("data", (data) => (this.log += data));
    this.child.stdout.on("data", (data) => (this.output += data));
    /** Resolves to the exit code, or to the signal that ended it, with all its output there. */
    this.ended = once(this.child, "close").then(([code, signal]) => {
      alive.delete(this.child);
      return code ?? signal;
    });
  }

  /** Waits for the line that says where it listens, and reads it. */
  async listening() {
    const lines = createInterface({ input: this.child.stdout });
    const url = new Promise((resolve) =>
      lines.on("line", (line) => {
        this.clusterAddress ??= line.match(/: cluster at (\S+)$/)?.[1];
        const found = line.match(/listening (?:at|on) (http:\S+)$/)?.[1];
        if (found) resolve(found);
      }),
    );
    this.url = await Promise.race([url, this.ended.then(() => undefined)]);
    if (!this.url) throw new Error(`it did not start: ${this.log}`);
    this.port = Number(new URL(this.url).port);
    return this;
  }

  /** Sends a signal and returns how the process ended. */
  end(signal) {
    this.child.kill(signal);
    return this.ended;
  }

  /** Returns the match of the first line after the log's from-th character that matches. */
  async logged(pattern, from = 0) {
    for (;;) {
      const found = this.log.slice(from).match(pattern);
      if (found) return found;
      await Promise.race([once(this.child.stderr, "data"), this.ended]);
    }
  }

  async health() {
    const response = await fetch(this.url + "/healthz");
    return { code: response.status, ...(await response.json()) };
  }
}

/** Runs a command, with its arguments, to its end: { code, output, log }. */
export async function runCommand(command, ...args) {
  const p = new Process(command, args, {});
  const code = await p.ended;
  return { code, output: p.output, log: p.log };
}

/**
 * Starts a server and waits until it listens: rollcall serve, pointingparty, or
 * refserver, on a free port unless args say otherwise.
 */
export async function startServer(t, command, args = [], env = {}) {
  const all = ["--listen", "127.0.0.1:0", ...args];
  const p = new Process(command, command === "rollcall" ? ["serve", ...all] : all, env);
  t.after(async () => {
    await p.end("SIGKILL");
    // Channels of refserver panic when they are told to.
    assert.doesNotMatch(p.log, command === "refserver" ? /^panic|DATA RACE/m : /panic|DATA RACE/);
  });
  return p.listening();
}

/** n ports of loopback that were free a moment ago. */
export async function freePorts(n) {
  const servers = Array.from({ length: n }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** Starts two replicas of one cluster, named a and b, each told of the other. */
export async function startCluster(t, command, args = []) {
  const [port1, port2] = await freePorts(2);
  const replica = (name, own, other) => startServer(t, command, ["--name", name, "--cluster-listen", `127.0.0.1:${own}`, "--routes", `127.0.0.1:${other}`, ...args]);
  const replicas = await Promise.all([replica("a", port1, port2), replica("b", port2, port1)]);
  assert.equal(replicas[0].clusterAddress, `127.0.0.1:${port1}`);
  return replicas;
}

/**
 * A door in front of replicas, as a load balancer is: connections are passed on
 * to the server that door.server is at the time, and refused where that is gone.
 */
export async function openDoor(t, server) {
  const sockets = new Set();
  const door = { server };
  const listener = createServer((inside) => {
    const outside = connect(door.server.port, "127.0.0.1");
    for (const [from, to] of [[inside, outside], [outside, inside]]) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => { sockets.delete(from); to.destroy(); });
    }
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  door.url = `http://127.0.0.1:${listener.address().port}`;
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    listener.close();
  });
  return door;
}

/**
 * A load balancer in front of servers, which sends each request to the next of
 * them, or to the one after it where that is gone. passed counts the requests
 * that each has answered. WebSockets are left to its upgrade, which hangs up.
 */
export async function openBalancer(t, servers) {
  const balancer = { passed: servers.map(() => 0), upgrade: (request, socket) => socket.destroy() };
  let turn = 0;
  const pass = (request, body, response, n, tries) => {
    const outside = http.request(servers[n].url + request.url, { method: request.method, headers: request.headers, agent: false }, (answer) => {
      balancer.passed[n]++;
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    response.on("close", () => outside.destroy()); // the client waits no more
    outside.on("error", (err) => {
      if (err.code === "ECONNREFUSED" && tries > 1) return pass(request, body, response, (n + 1) % servers.length, tries - 1);
      response.destroy();
    });
    outside.end(body);
  };
  const listener = http.createServer(async (request, response) => {
    const body = [];
    for await (const chunk of request) body.push(chunk);
    pass(request, Buffer.concat(body), response, turn++ % servers.length, servers.length);
  });
  const upgraded = new Set();
  listener.on("upgrade", (request, socket, head) => {
    upgraded.add(socket);
    balancer.upgrade(request, socket, head);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  balancer.url = `http://127.0.0.1:${listener.address().port}`;
  t.after(() => {
    listener.close();
    listener.closeAllConnections();
    upgraded.forEach((socket) => socket.destroy());
  });
  return balancer;
}
