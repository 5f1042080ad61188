// Replicas of the pointing party for the tests in the browser.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePorts, startServer } from "./client_process.mjs";

/** The cards of every party here: few, so that a deck can be played to its end. */
export const cards = [
  { title: "Sign in with a passkey", description: "As somebody who forgets passwords,\nI want to sign in with my fingerprint." },
  { title: "Export to <b>CSV</b> & \"more\"", description: "Texts of cards are texts: no <i>markup</i>." },
  { title: "Dark mode", description: "It should follow the system." },
  { title: "Undo", description: "" },
];

/**
 * Starts two replicas of one cluster. Each can be killed and started again at
 * its address. stop ends all that still runs.
 */
export async function startCluster() {
  const cleanups = [];
  const stop = async () => {
    const ends = await Promise.allSettled(cleanups.splice(0).map((cleanup) => cleanup()));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  };
  const dir = await mkdtemp(path.join(tmpdir(), "pointingparty-"));
  cleanups.push(() => rm(dir, { recursive: true }));
  const deck = path.join(dir, "cards.json");
  await writeFile(deck, JSON.stringify(cards));
  const [http1, http2, route1, route2] = await freePorts(4);
  const replica = (name, port, own, other) => {
    const args = ["--name", name, "--listen", `127.0.0.1:${port}`, "--cluster-listen", `127.0.0.1:${own}`, "--routes", `127.0.0.1:${other}`, "--cards", deck];
    return {
      url: `http://127.0.0.1:${port}`,
      running: false,
      /** Returns when it serves. */
      async start() {
        this.process = await startServer({ after: (cleanup) => cleanups.push(cleanup) }, "pointingparty", args);
        this.running = true;
      },
      /** Ends it as a crash does, and returns when it is gone. */
      async kill() {
        this.running = false;
        await this.process.end("SIGKILL");
      },
    };
  };
  const replicas = [replica("one", http1, route1, route2), replica("two", http2, route2, route1)];
  try {
    await Promise.all(replicas.map((r) => r.start()));
  } catch (err) {
    await stop();
    throw err;
  }
  return { replicas, stop };
}
