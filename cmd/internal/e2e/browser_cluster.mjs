// Replicas of the pointing party as processes: the built binary, each with its
// embedded NATS server, connected by routes on loopback.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** The cards of every party here: few, so that a deck can be played to its end. */
export const cards = [
  { title: "Sign in with a passkey", description: "As somebody who forgets passwords,\nI want to sign in with my fingerprint." },
  { title: "Export to <b>CSV</b> & \"more\"", description: "Texts of cards are texts: no <i>markup</i>." },
  { title: "Dark mode", description: "It should follow the system." },
  { title: "Undo", description: "" },
];

/** n ports of loopback that were free a moment ago. */
async function freePorts(n) {
  const servers = await Promise.all(
    Array.from({ length: n }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

// Replicas that run. None outlives this process.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** One replica, which can be killed and started again at the same ports. */
class Replica {
  constructor(binary, args, port) {
    this.binary = binary;
    this.args = args;
    this.url = `http://127.0.0.1:${port}`;
    this.log = "";
  }

  get running() {
    return running.has(this.process);
  }

  /** Starts the process, and returns when it serves. */
  async start() {
    this.process = spawn(this.binary, this.args, { stdio: ["ignore", "pipe", "pipe"] });
    const child = this.process;
    running.add(child);
    this.exited = once(child, "exit").then(() => running.delete(child));
    this.process.stderr.on("data", (data) => (this.log += data));
    const lines = createInterface({ input: this.process.stdout });
    const served = new Promise((resolve) => lines.on("line", (line) => line.includes(this.url) && resolve(true)));
    if (!(await Promise.race([served, this.exited.then(() => false)]))) {
      throw new Error(`the replica did not start: ${this.log}`);
    }
  }

  /** Ends the process as a crash does, and returns when it is gone. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }
}

/** Starts two replicas of one cluster. stop kills what still runs. */
export async function startCluster() {
  const binary = process.env.ROLLCALL_POINTINGPARTY;
  if (!binary) throw new Error("ROLLCALL_POINTINGPARTY must name the pointingparty binary: run these tests with go test ./cmd/internal/e2e");
  const dir = await mkdtemp(path.join(tmpdir(), "pointingparty-"));
  const deck = path.join(dir, "cards.json");
  await writeFile(deck, JSON.stringify(cards));
  const [http1, http2, route1, route2] = await freePorts(4);
  const replica = (name, http, own, other) =>
    new Replica(
      binary,
      ["--name", name, "--listen", `127.0.0.1:${http}`, "--cluster-listen", `127.0.0.1:${own}`, "--routes", `127.0.0.1:${other}`, "--cards", deck],
      http,
    );
  const replicas = [replica("one", http1, route1, route2), replica("two", http2, route2, route1)];
  const stop = async () => {
    await Promise.all(replicas.map((r) => r.process && r.kill()));
    await rm(dir, { recursive: true });
    for (const r of replicas) assert.doesNotMatch(r.log, /panic|DATA RACE/);
  };
  try {
    await Promise.all(replicas.map((r) => r.start()));
  } catch (err) {
    await stop();
    throw err;
  }
  return { replicas, stop };
}
