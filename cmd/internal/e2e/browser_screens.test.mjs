// What the page looks like on a phone and on a desk. The pictures are for
// people; that nothing sticks out of the screen is checked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cards, startCluster } from "./browser_cluster.mjs";
import { startBrowser } from "./browser_party.mjs";

let cluster, browser;

before(async () => {
  cluster = await startCluster();
  browser = await startBrowser();
});
after(async () => {
  await browser?.leave();
  await browser?.stop();
  await cluster?.stop();
});

test("screens fit a phone and a desk", async () => {
  const [one, two] = cluster.replicas;
  const names = ["Ada Lovelace", "Grace", "Linus", "Zoë van den Oever-Quintanilla"];
  const users = await Promise.all(names.map((name) => browser.user(name, { reducedMotion: "no-preference" })));
  const ada = await users[0].open(one, "screens");
  await ada.screenshot("sign-in");
  await ada.signIn();
  const others = [];
  for (const [i, user] of users.slice(1).entries()) others.push(await user.enter(i === 0 ? two : one, "screens"));
  const tabs = [ada, ...others];
  await Promise.all(tabs.map((tab) => tab.sees(...names)));
  await ada.screenshot("lobby");

  await ada.get("start-button").click();
  await Promise.all(tabs.map((tab) => tab.seesCard(cards[0])));
  await ada.vote(3);
  await others[0].vote(3);
  await others[1].vote(3);
  await ada.seesVoted(names[0], names[1], names[2]);
  await ada.screenshot("voting");
  await others[2].vote(5);
  await ada.seesResult("winner", "3", { [names[0]]: 3, [names[1]]: 3, [names[2]]: 3, [names[3]]: 5 });
  await ada.screenshot("reveal");

  await ada.get("next-button").click();
  await Promise.all(tabs.map((tab) => tab.seesCard(cards[1])));
  for (const [i, tab] of tabs.entries()) await tab.vote(i % 2 ? 5 : 1);
  await ada.seesResult("tie", "1,5", { [names[0]]: 1, [names[1]]: 5, [names[2]]: 1, [names[3]]: 5 });
  await ada.screenshot("tie");
  await ada.page.emulateMedia({ colorScheme: "dark" });
  await ada.screenshot("tie-dark");

  await two.kill();
  await others[0].seesConnection("lost");
  await others[0].screenshot("connection-lost");
  assert.ok(await others[0].get("connection").isVisible());
});
