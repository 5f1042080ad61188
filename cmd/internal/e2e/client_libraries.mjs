// The client libraries, as npm has them, each with what the tests use of it: its
// Socket, its Presence, its LongPoll where it polls, and stop, which ends a
// socket for good.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as phoenix from "phoenix";
import XMLHttpRequest from "xmlhttprequest-ssl";

const require = createRequire(import.meta.url);
const lock = JSON.parse(readFileSync(new URL("package-lock.json", import.meta.url)));

/** The name and version of what is installed as a name. */
const named = (name) => {
  const { name: real = name, version } = lock.packages[`node_modules/${name}`];
  return `${real} ${version}`;
};

/** The official client, as it is now. */
export const current = { ...phoenix, name: named("phoenix"), stop: (socket) => socket.disconnect() };

// The official client of 2019 looks for XMLHttpRequest where a browser's window is,
// when it is loaded.
globalThis.self = { XMLHttpRequest };
/** The official client as it was, on many a page still. */
export const old = {
  ...require("phoenix-1.4"),
  name: named("phoenix-1.4"),

  /** Its disconnect lets its heartbeat run on. */
  stop(socket) {
    socket.disconnect();
    clearInterval(socket.heartbeatTimer);
  },
};
delete globalThis.self;

const channels = require("phoenix-channels");

/** A client of version 1 of the protocol. */
export const first = {
  name: named("phoenix-channels"),
  Socket: channels.Socket,

  /** What its documentation says to do with its functions for presence. */
  Presence: class {
    constructor(channel) {
      this.state = {};
      this.joined = this.left = this.synced = () => {};
      const sync = (how) => (payload) => {
        this.state = channels.Presence[how](this.state, payload, (key) => this.joined(key), (key) => this.left(key));
        this.synced();
      };
      channel.on("presence_state", sync("syncState"));
      channel.on("presence_diff", sync("syncDiff"));
    }
    onJoin(callback) { this.joined = callback; }
    onLeave(callback) { this.left = callback; }
    onSync(callback) { this.synced = callback; }
    list(by) { return channels.Presence.list(this.state, by); }
  },

  /** Its disconnect lets its timers run on, or a late error start them again. */
  stop(socket) {
    if (socket.conn) socket.conn.onerror = () => {};
    socket.disconnect();
    clearInterval(socket.heartbeatTimer);
    socket.reconnectTimer.reset();
    socket.channels.forEach((channel) => channel.rejoinTimer.reset());
  },
};
