// Users of the pointing party in a real browser: what they do, what they see,
// and what their page was sent.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

/** How long anything may take that has no limit of its own, in ms. */
const waitLimit = 15000;

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser to test with: ROLLCALL_CHROMIUM, or what is installed. */
function executable() {
  if (process.env.ROLLCALL_CHROMIUM) return process.env.ROLLCALL_CHROMIUM;
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const candidates = ["/usr/bin/chromium", ...(process.env.PATH || "").split(":").flatMap((dir) => names.map((name) => path.join(dir, name)))];
  const found = candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  assert.ok(found, "no chromium is installed; ROLLCALL_CHROMIUM may name one");
  return found;
}

/** Runs in every page before its own code: keeps what was shown even for a moment. */
function watch() {
  window.shown = { banners: [], gone: [] };
  document.addEventListener("DOMContentLoaded", () => {
    const banner = document.querySelector("[data-testid=connection]");
    new MutationObserver(() => window.shown.banners.push(banner.dataset.state)).observe(banner, { attributeFilter: ["data-state"] });
    new MutationObserver((records) => {
      for (const record of records) {
        for (const node of record.removedNodes) {
          // A seat that was only moved is back in the list.
          if (!node.isConnected) window.shown.gone.push({ name: node.dataset.name, at: Date.now() });
        }
      }
    }).observe(document.querySelector("[data-testid=people]"), { childList: true });
  });
}

const attribute = (value) => JSON.stringify(String(value)); // quoted for a CSS selector

/** A user with a browser of their own. Each page is one tab. */
export class User {
  constructor(name, context) {
    this.name = name;
    this.context = context;
    this.tabs = [];
  }

  /** Opens a room's page of a replica, with the name typed in. */
  async open(replica, room) {
    const tab = new Tab(this, await this.context.newPage());
    this.tabs.push(tab);
    await tab.page.goto(`${replica.url}/r/${encodeURIComponent(room)}`);
    await tab.get("name-input").fill(this.name);
    return tab;
  }

  /** Opens a room's page of a replica, signs in, and waits for a seat. */
  async enter(replica, room) {
    const tab = await this.open(replica, room);
    await tab.signIn();
    return tab;
  }
}

/** One tab of one user. */
export class Tab {
  constructor(user, page) {
    this.user = user;
    this.name = user.name;
    this.page = page;
    this.sent = []; // frames from the server: [join_ref, ref, topic, event, payload]
    this.cast = new Set(); // the points that this user ever voted, in whichever tab
    this.frames = new EventEmitter(); // "frame" for each that was sent
    this.errors = [];
    page.setDefaultTimeout(waitLimit);
    page.on("websocket", (socket) =>
      socket.on("framereceived", ({ payload }) => {
        this.sent.push(JSON.parse(payload));
        this.frames.emit("frame");
      }),
    );
    page.on("pageerror", (err) => this.errors.push(err.message));
    page.on("console", (message) => {
      const aboutNetwork = /ERR_CONNECTION|WebSocket connection|net::ERR/.test(message.text());
      if (message.type() === "error" && !aboutNetwork) this.errors.push(message.text());
    });
  }

  get = (testid) => this.page.getByTestId(testid);

  async signIn() {
    await this.get("name-input").fill(this.name);
    await this.get("join-button").click();
    await this.sees(this.name);
  }

  seat(name, state = "") {
    return this.page.locator(`[data-testid=person][data-name=${attribute(name)}]${state}`);
  }

  async sees(...names) {
    for (const name of names) await this.seat(name).waitFor();
  }

  async seesGone(name) {
    await this.seat(name).waitFor({ state: "detached" });
  }

  /** Who is in the list, in its order. */
  people() {
    return this.page.locator("[data-testid=person]").evaluateAll((seats) => seats.map((seat) => seat.dataset.name));
  }

  /** Waits for a card of the deck, with nothing revealed. */
  async seesCard(card) {
    await this.get("card-title").getByText(card.title, { exact: true }).waitFor();
    await this.get("result").waitFor({ state: "hidden" });
  }

  async vote(points) {
    for (const tab of this.user.tabs) tab.cast.add(points);
    await this.get(`vote-${points}`).click();
    await this.page.locator(`[data-testid=vote-${points}][aria-pressed=true]`).waitFor();
  }

  async seesVoted(...names) {
    for (const name of names) await this.seat(name, "[data-voted=true]").waitFor();
  }

  async seesNotVoted(...names) {
    for (const name of names) await this.seat(name, "[data-voted=false]").waitFor();
  }

  /** Waits for the result: its outcome, its points, and the votes by name. */
  async seesResult(outcome, points, votes) {
    await this.page.locator(`[data-testid=result][data-outcome=${outcome}][data-points=${attribute(points)}]`).waitFor();
    for (const [name, value] of Object.entries(votes)) {
      await this.seat(name, `[data-revealed=true][data-points=${attribute(value)}]`).waitFor();
    }
    const revealed = await this.page.locator("[data-testid=person][data-revealed=true]").count();
    assert.equal(revealed, Object.keys(votes).length, `votes that ${this.name} sees`);
  }

  /** Waits for the driver, and checks that the button is theirs alone. */
  async seesDriver(name) {
    await this.page.locator(`[data-testid=driver][data-driver=${attribute(name)}]`).waitFor();
    const next = this.get("next-button");
    if (name === this.name) {
      await this.page.locator("[data-testid=next-button]:enabled").waitFor();
    } else {
      assert.ok(!(await next.isVisible()), `${this.name} does not drive`);
    }
  }

  async seesConnection(state) {
    await this.page.locator(`[data-testid=connection][data-state=${state}]`).waitFor({ state: "attached" });
  }

  /** All that the banner ever said in this page, and who ever left the list. */
  shown() {
    return this.page.evaluate(() => window.shown);
  }

  async screenshot(name) {
    const dir = process.env.ROLLCALL_SCREENSHOTS || path.join(tmpdir(), "pointingparty-screenshots");
    await mkdir(dir, { recursive: true });
    for (const [width, height] of [[390, 844], [1280, 800]]) {
      await this.page.setViewportSize({ width, height });
      await this.page.screenshot({ path: path.join(dir, `${name}-${width}x${height}.png`), animations: "disabled" });
      const overhang = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overhang <= 0, `${name} is ${overhang} px wider than ${width}`);
    }
  }

  /**
   * Checks every frame that this tab was sent so far: no value of anybody's vote
   * left the server before the card's result, but the user's own.
   */
  assertNothingLeaked() {
    for (const frame of this.sent) {
      const [, , , event, payload] = frame;
      const text = JSON.stringify(frame);
      switch (event) {
        case "round":
          if (payload.phase !== "revealed") assert.ok(!payload.result && !hasKey(payload, "points") && !hasKey(payload, "votes"), text);
          break;
        case "winner":
        case "tie":
          break; // the caller knows when they may come
        case "your_vote":
          assert.ok(this.cast.has(payload.points), `not a vote of ${this.name}: ${text}`);
          break;
        case "presence_state":
          for (const { metas } of Object.values(payload)) metas.forEach(assertMasked);
          break;
        case "presence_diff":
          for (const part of [payload.joins, payload.leaves]) {
            for (const { metas } of Object.values(part)) metas.forEach(assertMasked);
          }
          break;
        default:
          assert.ok(!hasKey(payload, "points") && !hasKey(payload, "votes"), text);
      }
    }
    assert.ok(this.sent.length > 0, "frames were seen");
  }

  /** The payloads of the events of that name that this tab was sent. */
  told(name) {
    return this.sent.filter(([, , , event]) => event === name).map((frame) => frame[4]);
  }

  /** Waits for the first event of that name, and returns its payload. */
  async hears(name) {
    const signal = AbortSignal.timeout(waitLimit);
    while (this.told(name).length === 0) {
      await once(this.frames, "frame", { signal }).catch(() => assert.fail(`${this.name} was never sent ${name}`));
    }
    return this.told(name)[0];
  }

  /** How many results this tab was told, in whichever way. */
  results() {
    return this.told("winner").length + this.told("tie").length + this.told("round").filter((round) => round.phase === "revealed").length;
  }
}

/** A meta says who has voted for which card, and nothing besides. */
function assertMasked(meta) {
  const known = ["joined", "phx_ref", "phx_ref_prev", "vote"];
  assert.deepEqual(Object.keys(meta).filter((key) => !known.includes(key)), [], JSON.stringify(meta));
  if (meta.vote) assert.deepEqual(Object.keys(meta.vote), ["card"], JSON.stringify(meta));
}

function hasKey(value, key) {
  if (value === null || typeof value !== "object") return false;
  return Object.hasOwn(value, key) || Object.values(value).some((inner) => hasKey(inner, key));
}

/** Starts the browser. user(name) gives each user a profile of their own. */
export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: executable(), headless: true, args: flags });
  const users = [];
  return {
    async user(name, options = {}) {
      const context = await browser.newContext({ viewport: { width: 640, height: 800 }, locale: "en-GB", reducedMotion: "reduce", ...options });
      await context.addInitScript(watch);
      const user = new User(name, context);
      users.push(user);
      return user;
    },
    /** Closes the users' browsers, after a look at what their pages complained of. */
    async leave() {
      const gone = users.splice(0);
      await Promise.all(gone.map((user) => user.context.close()));
      for (const user of gone) {
        for (const tab of user.tabs) assert.deepEqual(tab.errors, [], `errors in the page of ${user.name}`);
      }
    },
    stop: () => browser.close(),
  };
}
