// A client, the official one or another of its kind, with promises around what
// it calls back, and a raw WebSocket for what no client would ever send.

import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket } from "ws";
import { current } from "./client_libraries.mjs";

/** How long what has to happen soon may take, in ms. */
const waitLimit = 20_000;

/** Waits for a promise, and says what was missed if it takes too long. */
export async function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    // The error is made here, where the stack still says who waits.
    const err = new Error(`timed out waiting for ${what}`);
    timer = setTimeout(() => reject(err), waitLimit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const address = (server, path) => server.url.replace(/^http/, "ws") + path;

/**
 * Connects a client to a server: that of a library of client_libraries.mjs, else
 * the official one over WebSocket. closes are the codes with which its connections
 * ended, so far.
 */
export async function connectClient(t, server, { library = current, ...options } = {}) {
  const socket = new library.Socket(address(server, "/socket"), {
    transport: WebSocket,
    reconnectAfterMs: () => 50,
    rejoinAfterMs: () => 50,
    ...options,
  });
  const client = { library, socket, closes: [], opens: 0 };
  socket.onOpen(() => client.opens++);
  socket.onClose((event) => client.closes.push(event?.code)); // old long polling has no event
  socket.connect();
  t.after(() => library.stop(socket));
  await soon(new Promise((resolve) => socket.onOpen(resolve)), "the connection to open");
  return client;
}

/** Resolves when the client's connection is closed next, to the code. */
export function closed({ socket }) {
  return soon(new Promise((resolve) => socket.onClose((event) => resolve(event.code))), "the connection to close");
}

/** The answer to a push or a join, as [status, response]. */
export function answer(push) {
  return soon(
    new Promise((resolve) => {
      for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve([status, response]));
    }),
    "an answer",
  );
}

/** Asserts that a push or a join is answered with ok, and returns the response. */
export async function ok(push) {
  const [status, response] = await answer(push);
  assert.equal(status, "ok", JSON.stringify(response));
  return response;
}

/** Asserts that a push or a join is refused, and returns the reason. */
export async function refused(push) {
  const [status, response] = await answer(push);
  assert.equal(status, "error");
  return response.reason;
}

/**
 * A joined channel with its presence. Its people are what Presence of the client
 * makes of what the server sent: {alice: [meta, ...]}, without refs. history has
 * each change as "+alice" or "-alice", as Presence tells it.
 */
export class Member {
  constructor(client, topic, params) {
    this.channel = client.socket.channel(topic, params);
    this.history = [];
    this.events = [];
    this.waiting = new Set();
    this.presence = new client.library.Presence(this.channel);
    this.presence.onJoin((key) => this.history.push("+" + key));
    this.presence.onLeave((key) => this.history.push("-" + key));
    this.presence.onSync(() => this.changed());
    const onMessage = this.channel.onMessage;
    this.channel.onMessage = (event, payload, ref) => {
      if (!event.startsWith("phx_") && !event.startsWith("chan_reply_")) {
        this.events.push({ event, payload });
        this.changed();
      }
      return onMessage.call(this.channel, event, payload, ref);
    };
  }

  static async join(client, topic, params) {
    const member = new Member(client, topic, params);
    await ok(member.channel.join());
    return member;
  }

  get people() {
    const people = {};
    this.presence.list((key, { metas }) => {
      people[key] = metas.map(({ phx_ref, phx_ref_prev, ...meta }) => {
        assert.ok(phx_ref);
        return meta;
      });
    });
    return people;
  }

  push(event, payload = {}) {
    return this.channel.push(event, payload);
  }

  changed() {
    this.waiting.forEach((look) => look());
  }

  /** Waits until what found returns, looked at after each event, is truthy, and returns that. */
  async until(found, what = found.toString()) {
    let look;
    const value = new Promise((resolve) => {
      look = () => {
        const value = found();
        if (value) resolve(value);
      };
      this.waiting.add(look);
      look();
    });
    try {
      return await soon(value, `${what}; people: ${JSON.stringify(this.people)}`);
    } finally {
      this.waiting.delete(look);
    }
  }

  /** Waits until exactly these keys are present. */
  present(...keys) {
    const want = keys.toSorted().join();
    return this.until(() => Object.keys(this.people).toSorted().join() === want, `presence of exactly ${want}`);
  }

  /** Waits for an event for which matches returns true, also among those that came already. */
  async event(name, matches = () => true) {
    const found = () => this.events.find(({ event, payload }) => event === name && matches(payload));
    return (await this.until(found, `event ${name}`)).payload;
  }
}

/** A WebSocket of its own, for what the official client would never send. */
export class Raw {
  constructor(ws) {
    this.ws = ws;
    this.frames = [];
    ws.on("message", (data) => this.frames.push(JSON.parse(data)));
    this.closed = once(ws, "close").then(([code]) => code);
  }

  /** Connects, or resolves to the HTTP status with which the server refused. */
  static connect(t, server, { query = "", protocols = [] } = {}) {
    const ws = new WebSocket(address(server, `/socket/websocket?vsn=2.0.0${query}`), protocols);
    t.after(() => ws.terminate());
    return soon(
      new Promise((resolve, reject) => {
        ws.on("open", () => resolve(new Raw(ws)));
        ws.on("unexpected-response", (_, response) => resolve(response.statusCode));
        ws.on("error", reject);
      }),
      "the handshake",
    );
  }

  /** Sends a frame and waits for the one that answers it, by its ref. */
  async ask(joinRef, ref, topic, event, payload) {
    const answered = () => this.frames.find((frame) => frame[1] === ref && frame[3] === "phx_reply");
    this.ws.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    while (!answered()) await soon(once(this.ws, "message"), `an answer to ${event}`);
    return answered()[4];
  }
}
