// The table: draws the state of a party. It knows nothing of sockets, keeps
// nothing but what is on the screen, and puts every text in as text.

export const SCALE = [0, 1, 3, 5];
const SIZES = { 0: "nothing", 1: "small", 3: "medium", 5: "large" };

const $ = (id) => document.getElementById(id);

/** Makes an element. Children are elements or texts. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Sets a text only where it differs, so that screen readers hear only news. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A colour of its own for each name, the same on every screen. */
function hueOf(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 3600;
  return hash % 360;
}

function initialsOf(name) {
  const words = name.trim().split(/\s+/);
  const first = (word) => (word ? [...word][0].toLocaleUpperCase() : "");
  return first(words[0]) + (words.length > 1 ? first(words[words.length - 1]) : "");
}

const list = new Intl.ListFormat("en", { style: "long", type: "conjunction" });

export class Table {
  /** on.vote(points), on.start(), on.next() are called for what the user does. */
  constructor(on) {
    this.seats = new Map(); // by name
    for (const points of SCALE) {
      const button = make("button", "vote", make("span", "vote-points", String(points)), make("span", "vote-size", SIZES[points]));
      button.type = "button";
      button.dataset.testid = `vote-${points}`;
      button.dataset.points = points;
      button.setAttribute("aria-label", `${points} points, ${SIZES[points]}`);
      button.setAttribute("aria-keyshortcuts", String(points));
      button.addEventListener("click", () => on.vote(points));
      $("votes").append(button);
    }
    $("start").addEventListener("click", () => on.start());
    $("next").addEventListener("click", () => on.next());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("input, textarea")) return;
      const button = [...$("votes").children].find((b) => b.dataset.points === event.key);
      if (button && !$("votes").hidden && !button.disabled) button.click();
    });
  }

  /**
   * Draws a state: {me, people: [{name, voted, tabs}], round, myVote, online,
   * busy, recap}. round is the server's "round" message, null before the first
   * one; myVote is the number of points that I voted for it, or null.
   */
  render(state) {
    const round = state.round;
    const phase = round ? round.phase : "loading";
    $("table").dataset.phase = phase;
    $("table").dataset.crowd = String(state.people.length > 8);
    this.renderPeople(state, phase);
    this.renderStory(state, phase);
    this.renderResult(state, phase);
    this.renderTray(state, phase);
  }

  renderPeople({ me, people, round }, phase) {
    const gone = new Set(this.seats.keys());
    people.forEach((person, i) => {
      gone.delete(person.name);
      let seat = this.seats.get(person.name);
      if (!seat) {
        seat = this.addSeat(person.name, person.name === me);
      }
      const at = $("people").children[i];
      if (at !== seat.item) $("people").insertBefore(seat.item, at || null);

      const revealed = phase === "revealed" ? round.result.votes[person.name] : undefined;
      const driving = (phase === "voting" || phase === "revealed") && round.driver === person.name;
      seat.item.dataset.voted = String(person.voted);
      seat.item.dataset.driving = String(driving);
      seat.item.dataset.revealed = String(revealed !== undefined);
      seat.item.dataset.top = String(phase === "revealed" && round.result.points.includes(revealed));
      seat.item.style.setProperty("--turn", `${Math.min(i, 12) * 70}ms`);
      if (revealed !== undefined) {
        seat.item.dataset.points = revealed;
        seat.front.textContent = revealed;
      } else {
        delete seat.item.dataset.points; // the face keeps its number while it turns down
      }
      const words = [];
      if (driving) words.push("driving");
      if (revealed !== undefined) words.push(`voted ${revealed}`);
      else if (phase === "voting" || phase === "revealed") words.push(person.voted ? "has voted" : "has not voted yet");
      say(seat.status, words.length ? `, ${words.join(", ")}` : "");
    });
    for (const name of gone) {
      this.seats.get(name).item.remove();
      this.seats.delete(name);
    }
  }

  addSeat(name, mine) {
    const front = make("span", "face front");
    const hand = make("span", "hand", make("span", "turner", make("span", "face back"), front));
    hand.setAttribute("aria-hidden", "true");
    const avatar = make("span", "avatar", initialsOf(name));
    avatar.setAttribute("aria-hidden", "true");
    const wheel = make("span", "wheel");
    wheel.setAttribute("aria-hidden", "true");
    const tick = make("span", "tick", "✓");
    tick.setAttribute("aria-hidden", "true");
    const status = make("span", "visually-hidden");
    const label = make("span", "name", name);
    label.title = name;
    const who = make("span", "who", label);
    if (mine) who.append(make("span", "you", "you"));
    const item = make("li", "seat", hand, make("span", "badge", avatar, wheel, tick), who, status);
    item.dataset.testid = "person";
    item.dataset.name = name;
    item.dataset.me = String(mine);
    item.style.setProperty("--hue", hueOf(name));
    const seat = { item, front, status };
    this.seats.set(name, seat);
    return seat;
  }

  renderStory({ me, round, recap }, phase) {
    let number = "", title = "", description = "", driver = "";
    switch (phase) {
      case "loading":
        title = "Setting the table…";
        break;
      case "idle":
        title = "Ready when you are";
        description = "When everybody is here, somebody starts. Whoever starts drives: they turn the next card when this one is pointed.";
        break;
      case "over":
        number = "All done";
        title = "That was the last card";
        description = recap.length ? "" : "Well pointed. Anybody may start again.";
        break;
      default:
        number = `Card ${round.index + 1} of ${round.total}`;
        title = round.card.title;
        description = round.card.description;
        driver = round.driver === "" ? "Choosing a new driver…" : round.driver === me ? "You are driving" : `${round.driver} is driving`;
    }
    say($("card-number"), number);
    if ($("card-title").textContent !== title) {
      $("card-title").textContent = title;
      // Restart the animation of a card that is laid on the table.
      const story = $("card-title").closest(".story");
      story.classList.remove("dealt");
      void story.offsetWidth;
      story.classList.add("dealt");
    }
    say($("card-description"), description);
    say($("driver"), driver);
    $("driver").dataset.driver = phase === "voting" || phase === "revealed" ? round.driver : "";

    $("recap").hidden = phase !== "over" || recap.length === 0;
    if (!$("recap").hidden) {
      $("recap").replaceChildren(
        ...recap.map((r) => make("li", "", make("span", "recap-title", r.title), make("span", "recap-points", r.points.length ? r.points.join(" / ") : "–"))),
      );
    }
  }

  renderResult({ round }, phase) {
    const section = $("result");
    const result = phase === "revealed" ? round.result : null;
    section.hidden = !result;
    if (!result) {
      section.dataset.outcome = "";
      section.dataset.points = "";
      return;
    }
    const counted = result.counts.reduce((sum, c) => sum + c.votes, 0);
    const word = (points) => (points === 1 ? "1 point" : `${points} points`);
    const drawn = `${result.outcome} ${result.points} ${JSON.stringify(result.counts)}`;
    if (section.dataset.drawn === drawn && section.dataset.outcome) return;
    section.dataset.drawn = drawn;
    section.dataset.outcome = result.outcome;
    section.dataset.points = result.points.join(",");
    section.classList.remove("shown");
    void section.offsetWidth;
    section.classList.add("shown");
    requestAnimationFrame(() => uncover(section));

    $("result-points").replaceChildren(...result.points.map((p) => make("span", "stamp", String(p))));
    if (result.outcome === "tie") {
      say($("result-title"), `A tie between ${list.format(result.points.map(String))}`);
      say($("result-hint"), "Talk it over and vote again, or go on.");
    } else {
      say($("result-title"), `${word(result.points[0])} it is`);
      say($("result-hint"), counted === 1 ? "One vote decided." : result.counts.length === 1 ? "Everybody agrees." : "Most of you agree.");
    }
    $("result-counts").replaceChildren(
      ...result.counts.map((c) => {
        const bar = make("span", "bar");
        bar.style.setProperty("--share", c.votes / counted);
        const item = make("li", "", make("span", "count-points", String(c.points)), bar, make("span", "count-votes", `×${c.votes}`));
        item.setAttribute("aria-label", `${word(c.points)}: ${c.votes} ${c.votes === 1 ? "vote" : "votes"}`);
        return item;
      }),
    );
  }

  renderTray({ me, people, round, myVote, online, busy }, phase) {
    const drives = !!round && round.driver === me;
    const pointing = phase === "voting" || phase === "revealed";
    $("votes").hidden = !pointing;
    for (const button of $("votes").children) {
      const mine = myVote === Number(button.dataset.points);
      button.setAttribute("aria-pressed", String(mine));
      button.disabled = !online;
    }
    $("votes").dataset.chosen = String(pointing && myVote !== null);

    const start = $("start");
    start.hidden = phase !== "idle" && phase !== "over";
    start.disabled = !online || busy;
    say(start, phase === "over" ? "Start again" : "Start pointing!");

    const next = $("next");
    next.hidden = !pointing || !drives;
    next.disabled = !online || busy;
    const last = pointing && round.index + 1 === round.total;
    const revealed = phase === "revealed";
    say(next, revealed ? (last ? "Finish" : "Next card") : "Skip this card");
    next.classList.toggle("primary", revealed);
    next.classList.toggle("quiet", !revealed);

    say($("prompt"), promptFor({ me, people, round, myVote, drives, online }, phase));
  }
}

/** Scrolls until the tray, which lies over the page, does not hide the element. */
function uncover(element) {
  const hidden = element.getBoundingClientRect().bottom + 12 - document.querySelector(".tray").getBoundingClientRect().top;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (hidden > 0) window.scrollBy({ top: hidden, behavior: calm ? "auto" : "smooth" });
}

/** What the table asks of me now. */
function promptFor({ me, people, round, myVote, drives, online }, phase) {
  if (!online && phase !== "loading") return "The table waits until the connection is back.";
  switch (phase) {
    case "loading":
      return "";
    case "idle":
      return people.length < 2 ? "You are the first. Invite the others, or start alone." : `${people.length} people are here.`;
    case "over":
      return "Another round?";
    case "revealed":
      if (drives) return "Change your vote, or turn the next card.";
      return round.driver ? `Change your vote, or wait for ${round.driver} to turn the next card.` : "Change your vote, or wait for the next card.";
  }
  const waiting = people.filter((p) => !p.voted && p.name !== me).map((p) => p.name);
  if (myVote === null) {
    return waiting.length === 0 && people.length > 1 ? "All wait for you: how big is it?" : "How big is it? Nobody sees your card before all have voted.";
  }
  if (waiting.length === 0) return "Turning the cards…";
  const named = waiting.length > 3 ? [...waiting.slice(0, 2), `${waiting.length - 2} others`] : waiting;
  return `You said ${myVote}. Waiting for ${list.format(named)}.`;
}
