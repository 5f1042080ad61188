// The pointing party's page: signs in, holds the connection, and keeps the state
// that table.js draws. All that happens at the table comes from the server.

import { Presence, Socket } from "/assets/phoenix.mjs";
import { Table } from "/assets/table.js";

const $ = (id) => document.getElementById(id);

/** Storage that is only a convenience: without it the page works all the same. */
function remember(storage, key, value) {
  try {
    if (value === undefined) return storage().getItem(key);
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Private windows may refuse.
  }
  return null;
}
const local = (key, value) => remember(() => localStorage, `pointingparty:${key}`, value);
const session = (key, value) => remember(() => sessionStorage, `pointingparty:${key}`, value);

/** The room in the address, "" on the front page. */
function roomInAddress() {
  const match = /^\/r\/([^/]+)$/.exec(location.pathname);
  if (!match) return "";
  try {
    return decodeURIComponent(match[1]).trim();
  } catch {
    return match[1];
  }
}

/** A name for a room that nobody has thought of. */
function freshRoom() {
  const any = (words) => words[Math.floor(Math.random() * words.length)];
  const tone = ["amber", "brisk", "calm", "clever", "copper", "early", "gentle", "lucky", "merry", "mossy", "quiet", "silver", "sunny", "velvet"];
  const thing = ["badger", "comet", "falcon", "fjord", "harbour", "heron", "lantern", "maple", "otter", "pebble", "sparrow", "teapot", "walnut", "willow"];
  return `${any(tone)}-${any(thing)}-${10 + Math.floor(Math.random() * 90)}`;
}

const BACK_MS = 2500; // how long "Back" is shown
const RESEND_MS = 400; // after a join: my own vote would have come by then

class Party {
  constructor(room, name, on) {
    this.room = room;
    this.name = name; // as typed; the server answers with what it made of it
    this.on = on; // changed(), refused(reason), connection(state), notice(text)
    this.people = [];
    this.round = null;
    this.myVote = null; // {card, points}
    this.recap = new Map(); // by round: {title, points}
    this.online = false;
    this.busy = false;
    this.wasJoined = false;
    this.fresh = true; // the next "round" is the first of this join
    this.unsure = true; // whether the server still has my vote

    this.socket = new Socket("/socket", { params: { name }, heartbeatIntervalMs: 10000 });
    this.channel = this.socket.channel(`party:${room}`, { name });
    this.socket.onClose(() => this.lost());
    this.socket.onError(() => this.lost());
    this.channel.onError(() => this.lost());

    this.channel.on("round", (message) => this.takeRound(message));
    this.channel.on("new_card", (card) => this.takeCard(card));
    this.channel.on("your_vote", (vote) => {
      this.myVote = vote;
      this.keepVote();
      this.on.changed();
    });
    this.presence = new Presence(this.channel);
    this.presence.onSync(() => {
      this.people = this.presence.list((name, { metas }) => ({ name, metas }));
      this.on.changed();
    });
  }

  open() {
    this.on.connection("connecting");
    this.socket.connect();
    this.channel
      .join()
      .receive("ok", ({ name }) => this.joined(name))
      .receive("error", ({ reason }) => {
        if (this.wasJoined) return; // phoenix.js goes on trying
        this.close();
        this.on.refused(reason || "The party could not be joined.");
      });
  }

  /** Called after the first join and after every later one. */
  joined(name) {
    this.name = name;
    this.online = true;
    this.fresh = true;
    this.unsure = true;
    this.on.connection(this.wasJoined ? "back" : "online");
    this.wasJoined = true;
    this.on.changed();
  }

  lost() {
    if (this.closed) return;
    this.online = false;
    this.busy = false;
    this.on.connection(this.wasJoined ? "lost" : "unreachable");
    this.on.changed();
  }

  close() {
    this.closed = true;
    this.channel.leave();
    this.socket.disconnect();
  }

  takeRound(message) {
    // A card that was just dealt may be ahead of what the replica has counted.
    if (!this.fresh && this.round && message.n < this.round.n) return;
    this.fresh = false;
    this.round = message;
    if (message.phase === "revealed") this.recap.set(message.n, { title: message.card.title, points: message.result.points });
    if (message.phase === "voting" && message.index === 0) this.recap.clear();
    if (this.unsure && message.card) setTimeout(() => this.resendVote(), RESEND_MS);
    this.on.changed();
  }

  takeCard({ n, index, total, card, driver }) {
    this.busy = false;
    if (this.round && n <= this.round.n && !this.fresh) return;
    if (index === 0) this.recap.clear();
    this.round = { phase: card ? "voting" : "over", n, index, total, card, driver, voted: 0, result: null };
    this.on.changed();
  }

  /** My vote for the card on the table, or null. */
  get vote() {
    return this.round && this.myVote && this.myVote.card === this.round.n ? this.myVote.points : null;
  }

  start() {
    this.push("start_pointing", {});
  }

  next() {
    this.push("next_card", { card: this.round.n });
  }

  push(event, payload) {
    this.busy = true;
    this.on.changed();
    const done = (text) => {
      this.busy = false;
      if (text) this.on.notice(text);
      this.on.changed();
    };
    this.channel
      .push(event, payload)
      .receive("ok", () => done())
      .receive("error", ({ reason }) => done(reason || "That did not work."))
      .receive("timeout", () => done("The server does not answer. Try again."));
  }

  cast(points) {
    const before = this.myVote;
    const vote = { card: this.round.n, points };
    this.unsure = false;
    this.myVote = vote; // shown at once, taken back if it is refused
    this.keepVote();
    this.on.changed();
    const refused = (reason) => {
      if (this.myVote === vote) this.myVote = before;
      this.on.notice(reason);
      this.on.changed();
    };
    this.channel
      .push("user_estimated", vote)
      .receive("error", ({ reason }) => refused(reason || "The vote was not taken."))
      .receive("timeout", () => refused("The server does not answer. Vote again."));
  }

  keepVote() {
    if (this.vote !== null && this.round.card) {
      session(`vote:${this.room}`, JSON.stringify({ ...this.myVote, title: this.round.card.title }));
    }
  }

  /**
   * A vote leaves with its tab's connection. After a reload, or on another
   * replica, it is cast again if the card is still the same. A replica that has
   * just started may know of that card a little later than of its clients.
   */
  resendVote() {
    if (!this.unsure || !this.online || !this.round || !this.round.card) return;
    this.unsure = false;
    let kept = null;
    try {
      kept = JSON.parse(session(`vote:${this.room}`));
    } catch {
      return;
    }
    const mine = this.people.find((p) => p.name === this.name);
    const has = mine && mine.metas.some((m) => m.vote && m.vote.card === this.round.n);
    if (!has && kept && kept.card === this.round.n && kept.title === this.round.card.title) this.cast(kept.points);
  }

  /** What the table draws. */
  state() {
    const n = this.round ? this.round.n : 0;
    const people = this.people
      .map(({ name, metas }) => ({
        name,
        joined: Math.min(...metas.map((m) => m.joined)),
        voted: metas.some((m) => m.vote && m.vote.card === n),
      }))
      .sort((a, b) => a.joined - b.joined || (a.name < b.name ? -1 : 1));
    return {
      me: this.name,
      people,
      round: this.round,
      myVote: this.vote,
      online: this.online,
      busy: this.busy,
      recap: [...this.recap.values()],
    };
  }
}

// ---- the page ----

const room = roomInAddress();
let party = null;
let backTimer = 0;
let toastTimer = 0;

const table = new Table({
  vote: (points) => party.cast(points),
  start: () => party.start(),
  next: () => party.next(),
});

const connectionTexts = {
  idle: "",
  online: "",
  connecting: "Connecting…",
  unreachable: "The party cannot be reached – trying again…",
  lost: "Connection lost – reconnecting…",
  back: "Back",
};

function showConnection(state) {
  clearTimeout(backTimer);
  const banner = $("connection");
  banner.dataset.state = state;
  if (banner.textContent !== connectionTexts[state]) banner.textContent = connectionTexts[state];
  if (state === "back") backTimer = setTimeout(() => showConnection("online"), BACK_MS);
}

function notice(text) {
  clearTimeout(toastTimer);
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

function showDoor(reason = "") {
  $("table").hidden = true;
  $("room-actions").hidden = true;
  $("door").hidden = false;
  $("room-field").hidden = room !== "";
  $("room-name").hidden = room === "";
  $("door-error").textContent = reason;
  if (room) $("door-title").textContent = "Take a seat";
  if (!$("name-input").value) $("name-input").value = local("name") || "";
  if (!room && !$("room-input").value) $("room-input").value = freshRoom();
  showConnection("idle");
  $("name-input").focus({ preventScroll: true });
}

function enter(name) {
  $("door-error").textContent = "";
  party = new Party(room, name, {
    connection: showConnection,
    notice,
    refused: (reason) => {
      session(`in:${room}`, null);
      party = null;
      showDoor(`${reason[0].toLocaleUpperCase()}${reason.slice(1)}.`);
    },
    changed: () => {
      if (!party || !party.wasJoined) return;
      if ($("table").hidden) {
        $("door").hidden = true;
        $("table").hidden = false;
        $("room-actions").hidden = false;
        $("room-name").hidden = false;
        local("name", party.name);
        session(`in:${room}`, party.name);
      }
      table.render(party.state());
    },
  });
  party.open();
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name-input").value.trim();
  const target = room || $("room-input").value.trim();
  if (!target) {
    $("door-error").textContent = "Give the room a name.";
    $("room-input").focus();
  } else if (!name) {
    $("door-error").textContent = "Tell the others your name.";
    $("name-input").focus();
  } else if (room) {
    if (party) party.close();
    enter(name);
  } else {
    local("name", name);
    session(`in:${target}`, name); // the room's page signs in with it
    location.assign(`/r/${encodeURIComponent(target)}`);
  }
});

$("leave").addEventListener("click", () => {
  party.close();
  party = null;
  session(`in:${room}`, null);
  session(`vote:${room}`, null);
  location.assign("/");
});

$("invite").addEventListener("click", async () => {
  const link = `${location.origin}${location.pathname}`;
  try {
    await navigator.clipboard.writeText(link);
    notice("Link copied: send it to the others.");
  } catch {
    // Browsers give the clipboard to secure pages only.
    window.prompt("Send this link to the others:", link);
  }
});

if (room) {
  $("room-name").textContent = room;
  document.title = `${room} · Pointing Party`;
  local("room", room);
}
const given = new URLSearchParams(location.search).get("name") || session(`in:${room}`);
if (room && given) {
  $("name-input").value = given;
  enter(given);
} else {
  showDoor();
}
