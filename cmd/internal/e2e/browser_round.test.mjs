// Parties of users on two replicas, each with a real browser.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { cards, startCluster } from "./browser_cluster.mjs";
import { startBrowser } from "./browser_party.mjs";

let cluster, browser, one, two;

before(async () => {
  cluster = await startCluster();
  [one, two] = cluster.replicas;
  browser = await startBrowser();
});
afterEach(() => browser.leave());
after(async () => {
  await browser?.stop();
  await cluster?.stop();
});

/** Lets users enter a room, one after the other, so that the first is senior. */
async function party(room, seats) {
  const tabs = await Promise.all(Object.entries(seats).map(async ([name, replica]) => (await browser.user(name)).open(replica, room)));
  for (const tab of tabs) await tab.signIn();
  await all(tabs, (tab) => tab.sees(...Object.keys(seats)));
  return tabs;
}

const all = (tabs, what) => Promise.all(tabs.map(what));

test("two users on two replicas play a whole deck", async () => {
  const tabs = await party("whole deck / 1%", { alice: one, "Bob \"<b>\" Ö": two });
  const [alice, bob] = tabs;
  await all(tabs, (tab) => tab.get("start-button").waitFor());
  assert.deepEqual(await bob.people(), [alice.name, bob.name], "by seniority");

  await alice.get("start-button").click();
  await all(tabs, async (tab) => {
    await tab.seesCard(cards[0]);
    await tab.seesDriver(alice.name);
    assert.equal(await tab.get("card-number").textContent(), `Card 1 of ${cards.length}`);
  });

  await alice.vote(3);
  await all(tabs, async (tab) => {
    await tab.seesVoted(alice.name);
    await tab.seesNotVoted(bob.name);
    assert.equal(tab.results(), 0, "no result while somebody has not voted");
    assert.equal(await tab.page.locator("[data-testid=person][data-revealed=true]").count(), 0);
    tab.assertNothingLeaked();
  });

  await bob.vote(5);
  await all(tabs, async (tab) => {
    await tab.seesResult("tie", "3,5", { [alice.name]: 3, [bob.name]: 5 });
    await tab.seesDriver(alice.name);
    assert.match(await tab.get("result").textContent(), /tie between 3 and 5/i);
    assert.deepEqual(await tab.hears("tie"), { points: [3, 5], votes: { [alice.name]: 3, [bob.name]: 5 } });
    tab.assertNothingLeaked();
  });

  await alice.get("next-button").click();
  await all(tabs, async (tab) => {
    await tab.seesCard(cards[1]);
    assert.equal(await tab.get("card-description").textContent(), cards[1].description, "a text, not markup");
    await tab.seesNotVoted(alice.name, bob.name);
    assert.equal(await tab.page.locator("[data-testid^=vote-][aria-pressed=true]").count(), 0, "own vote is cleared");
  });

  await bob.vote(1);
  await alice.vote(1);
  await all(tabs, (tab) => tab.seesResult("winner", "1", { [alice.name]: 1, [bob.name]: 1 }));
  for (const card of cards.slice(2)) {
    await alice.get("next-button").click();
    await all(tabs, (tab) => tab.seesCard(card));
  }
  await alice.get("next-button").click();
  await all(tabs, async (tab) => {
    await tab.get("start-button").waitFor();
    assert.match(await tab.get("recap").textContent(), /passkey.*3 \/ 5.*CSV.*1/, "what was pointed");
  });
  await bob.get("start-button").click();
  await all(tabs, async (tab) => {
    await tab.seesCard(cards[0]);
    await tab.seesDriver(bob.name);
    await tab.seesNotVoted(alice.name, bob.name);
  });
});

test("the majority wins, and a vote that is changed is counted anew", async () => {
  const tabs = await party("majority", { alice: one, bob: two, carol: two });
  const [alice, bob, carol] = tabs;
  await bob.get("start-button").click();
  await all(tabs, (tab) => tab.seesDriver("bob"));
  await alice.vote(0);
  await bob.vote(5);
  await bob.vote(0);
  await all(tabs, (tab) => tab.seesVoted("alice", "bob"));
  assert.equal(alice.results() + bob.results() + carol.results(), 0);
  await carol.vote(1);
  await all(tabs, (tab) => tab.seesResult("winner", "0", { alice: 0, bob: 0, carol: 1 }));
  await bob.vote(1);
  await all(tabs, (tab) => tab.seesResult("winner", "1", { alice: 0, bob: 1, carol: 1 }));
  for (const tab of tabs) tab.assertNothingLeaked();
});

test("two tabs of a user are one person, whose newest vote counts", async () => {
  const tabs = await party("two tabs", { alice: one, bob: two });
  const [alice, bob] = tabs;
  const bob2 = await bob.user.enter(one, "two tabs");
  tabs.push(bob2);
  await all(tabs, (tab) => tab.sees("alice", "bob"));
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));

  await bob.vote(5);
  await all(tabs, (tab) => tab.seesVoted("bob"));
  await bob2.vote(3);
  await bob.page.locator("[data-testid=vote-3][aria-pressed=true]").waitFor();
  await alice.vote(1);
  await all(tabs, async (tab) => {
    await tab.seesResult("tie", "1,3", { alice: 1, bob: 3 });
    assert.deepEqual(await tab.people(), ["alice", "bob"], "one entry");
    tab.assertNothingLeaked();
  });

  await bob2.page.close();
  tabs.pop();
  await alice.get("next-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[1]));
  assert.ok(!(await alice.shown()).gone.some(({ name }) => name === "bob"), "the first tab still holds the seat");
  await bob.vote(5);
  await alice.vote(5);
  await all(tabs, (tab) => tab.seesResult("winner", "5", { alice: 5, bob: 5 }));
});

test("nobody waits for somebody who left", async () => {
  const tabs = await party("leaver", { alice: one, bob: two, carol: two });
  const [alice, bob, carol] = tabs;
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));
  await alice.vote(3);
  await bob.vote(3);
  await all(tabs, async (tab) => {
    await tab.seesVoted("alice", "bob");
    assert.equal(tab.results(), 0);
  });
  await carol.page.close();
  await all([alice, bob], async (tab) => {
    await tab.seesGone("carol");
    await tab.seesResult("winner", "3", { alice: 3, bob: 3 });
  });
});

test("somebody who comes in the middle of a round sees it and is waited for", async () => {
  const tabs = await party("joiner", { alice: one, bob: two });
  const [alice, bob] = tabs;
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));
  await alice.vote(5);
  const dora = await (await browser.user("dora")).enter(two, "joiner");
  tabs.push(dora);
  await dora.seesCard(cards[0]);
  await dora.seesVoted("alice");
  await dora.seesNotVoted("bob", "dora");
  await dora.seesDriver("alice");
  await bob.vote(3);
  await all(tabs, async (tab) => {
    await tab.seesVoted("alice", "bob");
    assert.equal(tab.results(), 0, "the newcomer is waited for");
    tab.assertNothingLeaked();
  });
  await dora.vote(3);
  await all(tabs, (tab) => tab.seesResult("winner", "3", { alice: 5, bob: 3, dora: 3 }));

  // After the result a newcomer sees it too, and does not take it away.
  const eve = await (await browser.user("eve")).enter(one, "joiner");
  await eve.seesResult("winner", "3", { alice: 5, bob: 3, dora: 3 });
});

test("when the driver reloads the page, whoever is here longest takes over", async () => {
  const tabs = await party("reload", { alice: one, bob: two, carol: one });
  const [alice, bob, carol] = tabs;
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));
  await alice.vote(3);
  await bob.vote(1);
  await all(tabs, (tab) => tab.seesVoted("alice", "bob"));

  await alice.page.reload();
  await all(tabs, async (tab) => {
    await tab.sees("alice", "bob", "carol");
    await tab.seesDriver("bob");
    await tab.seesCard(cards[0]);
    await tab.seesVoted("alice", "bob");
    assert.equal(tab.results(), 0, "carol has not voted");
    tab.assertNothingLeaked();
  });
  assert.ok((await carol.shown()).gone.some(({ name }) => name === "alice"), "the reload was a leave");
  await carol.vote(3);
  await all(tabs, (tab) => tab.seesResult("winner", "3", { alice: 3, bob: 1, carol: 3 }));
  await bob.get("next-button").click();
  await all(tabs, async (tab) => {
    await tab.seesCard(cards[1]);
    await tab.seesDriver("bob");
  });
});

test("the last two votes may come at the same moment on both replicas", async () => {
  const tabs = await party("same moment", { alice: one, bob: two });
  const [alice, bob] = tabs;
  await alice.get("start-button").click();
  for (const card of cards) {
    await all(tabs, (tab) => tab.seesCard(card));
    await Promise.all([alice.vote(3), bob.vote(5)]);
    await all(tabs, async (tab) => {
      await tab.seesResult("tie", "3,5", { alice: 3, bob: 5 });
      await tab.seesDriver("alice");
    });
    await alice.get("next-button").click();
  }
  await all(tabs, async (tab) => {
    await tab.get("start-button").waitFor();
    assert.equal(tab.told("tie").length, cards.length, "each result is told once");
    tab.assertNothingLeaked();
  });
});
