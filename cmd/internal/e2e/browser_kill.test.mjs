// One of two replicas is killed, as by a crash, while people are playing.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { cards, startCluster } from "./browser_cluster.mjs";
import { startBrowser } from "./browser_party.mjs";

let cluster, browser, one, two;

before(async () => {
  cluster = await startCluster();
  [one, two] = cluster.replicas;
  browser = await startBrowser();
});
beforeEach(() => two.running || two.start()); // a test that failed may have left it dead
afterEach(() => browser.leave());
after(async () => {
  await browser?.stop();
  await cluster?.stop();
});

const all = (tabs, what) => Promise.all(tabs.map(what));

/**
 * Kills replica two, and returns when its user is gone for the watcher: because
 * the network said so, and not after the much longer time in which silence would.
 * How long that takes is for "rollcall-bench kill" to say (2 s); here browsers and
 * other tests share the machine.
 */
async function killTwo(t, watcher, name) {
  const killed = Date.now();
  const before = one.process.log.length;
  await two.kill();
  await watcher.seesGone(name);
  const took = (await watcher.shown()).gone.find((seat) => seat.name === name).at - killed; // by the page's clock
  t.diagnostic(`${name} was gone after ${took} ms`);
  const [why] = await one.process.logged(/why=.* replica=two/, before);
  assert.match(why, /^why="gone from the network"/);
}

/** Plays one round from its card to the result. */
async function playRound(tabs, card, votes, outcome, points) {
  await all(tabs, async (tab) => {
    await tab.seesCard(card);
    await tab.seesNotVoted(...Object.keys(votes));
  });
  for (const tab of tabs) {
    assert.equal(await tab.page.locator("[data-testid=person][data-revealed=true]").count(), 0);
    await tab.vote(votes[tab.name]);
  }
  await all(tabs, async (tab) => {
    await tab.seesResult(outcome, points, votes);
    tab.assertNothingLeaked();
  });
}

/** Nothing but the leaving of others was ever seen in this tab. */
async function assertUndisturbed(tab, gone) {
  const shown = await tab.shown();
  assert.deepEqual(shown.banners.filter((state) => !["idle", "connecting", "online"].includes(state)), [], `banners that ${tab.name} saw`);
  assert.deepEqual(shown.gone.map(({ name }) => name), gone, `who left the list of ${tab.name}`);
}

test("a killed replica's user vanishes, and is back by themselves when it runs again", async (t) => {
  const alice = await (await browser.user("alice")).enter(one, "kill");
  const bob = await (await browser.user("bob")).enter(two, "kill");
  const tabs = [alice, bob];
  await all(tabs, (tab) => tab.sees("alice", "bob"));
  await bob.get("start-button").click();
  await all(tabs, async (tab) => {
    await tab.seesCard(cards[0]);
    await tab.seesDriver("bob");
  });
  await alice.vote(5);
  await all(tabs, (tab) => tab.seesVoted("alice"));

  await killTwo(t, alice, "bob");
  await bob.seesConnection("lost");
  assert.match(await bob.get("connection").textContent(), /connection lost/i);
  assert.ok(await bob.get("vote-3").isDisabled(), "no votes into nowhere");
  await alice.seesDriver("alice");
  await alice.seesCard(cards[0]);
  await alice.seesResult("winner", "5", { alice: 5 });

  await two.start();
  await bob.seesConnection("back");
  await bob.seesConnection("online");
  await all(tabs, async (tab) => {
    await tab.sees("alice", "bob");
    await tab.seesDriver("alice");
    await tab.seesResult("winner", "5", { alice: 5 });
  });
  await assertUndisturbed(alice, ["bob"]);

  await alice.get("next-button").click();
  await playRound(tabs, cards[1], { alice: 3, bob: 5 }, "tie", "3,5");
  await alice.get("next-button").click();
  await playRound(tabs, cards[2], { alice: 1, bob: 1 }, "winner", "1");
  await assertUndisturbed(alice, ["bob"]);
});

test("a vote is kept in the browser while its replica is away", async (t) => {
  const alice = await (await browser.user("alice")).enter(one, "kept vote");
  const bob = await (await browser.user("bob")).enter(two, "kept vote");
  const carol = await (await browser.user("carol")).enter(one, "kept vote");
  const tabs = [alice, bob, carol];
  await all(tabs, (tab) => tab.sees("alice", "bob", "carol"));
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));
  await bob.vote(3);
  await alice.vote(1);
  await all(tabs, (tab) => tab.seesVoted("alice", "bob"));
  await killTwo(t, alice, "bob");
  await two.start();
  await all(tabs, async (tab) => {
    await tab.seesVoted("bob");
    await tab.seesDriver("alice");
    assert.equal(tab.results(), 0);
    tab.assertNothingLeaked();
  });
  await carol.vote(3);
  await all(tabs, (tab) => tab.seesResult("winner", "3", { alice: 1, bob: 3, carol: 3 }));
});

test("a killed replica's user goes on at another replica", async (t) => {
  const alice = await (await browser.user("alice")).enter(one, "move");
  const bob = await (await browser.user("bob")).enter(two, "move");
  const tabs = [alice, bob];
  await all(tabs, (tab) => tab.sees("alice", "bob"));
  await alice.get("start-button").click();
  await all(tabs, (tab) => tab.seesCard(cards[0]));
  await killTwo(t, alice, "bob");
  await bob.seesConnection("lost");

  await bob.page.goto(`${one.url}/r/move`);
  await bob.signIn();
  await all(tabs, (tab) => tab.sees("alice", "bob"));
  await bob.seesDriver("alice");
  await playRound(tabs, cards[0], { alice: 5, bob: 0 }, "tie", "0,5");
  await assertUndisturbed(alice, ["bob"]);

  await two.start();
  const carol = await (await browser.user("carol")).enter(two, "move");
  tabs.push(carol);
  await all(tabs, (tab) => tab.sees("alice", "bob", "carol"));
  await alice.get("next-button").click();
  await playRound(tabs, cards[1], { alice: 3, bob: 3, carol: 1 }, "winner", "3");
  await assertUndisturbed(alice, ["bob"]);
});
