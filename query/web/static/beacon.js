// Tells the server what its visitor does on an item's page: that it was opened, that the slate of similar
// items came onto the screen, and which of them was opened. docs/events.md has the events.

const slate = document.getElementById("slate");
const cards = [...slate.querySelectorAll("[data-item-id]")];
const LAST_TAP = "nitamono-last-tap";

function randomId() {
  // crypto.randomUUID would be shorter, but exists only on https and localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Without a time: the server's clock is right, that of a telephone need not be.
function eventOf(type, fields) {
  return { type, event_id: randomId(), user_id: slate.dataset.visitor, ...fields };
}

function send(...events) {
  const body = new Blob([JSON.stringify({ events })], { type: "application/json" });
  // A beacon is sent even if the page is left at once. Browsers refuse one where too much else waits.
  if (!navigator.sendBeacon(slate.dataset.url, body)) {
    fetch(slate.dataset.url, { method: "POST", body, keepalive: true });
  }
}

// The slate whose tap led to this page, told once: a page loaded again was not tapped again.
function slateBefore() {
  try {
    const tap = JSON.parse(sessionStorage.getItem(LAST_TAP));
    sessionStorage.removeItem(LAST_TAP);
    return tap?.itemId === slate.dataset.queryItemId ? { slate_id: tap.slateId } : {};
  } catch {
    return {}; // storage is switched off
  }
}

function rememberTap(itemId) {
  try {
    sessionStorage.setItem(LAST_TAP, JSON.stringify({ itemId, slateId: slate.dataset.slateId }));
  } catch {
    // Storage is switched off: the view that follows is counted without its slate.
  }
}

function tell(click) {
  const card = click.target.closest("a") && click.target.closest("[data-item-id]");
  if (!card || click.button > 1) return;
  const tap = eventOf("tap", {
    slate_id: slate.dataset.slateId,
    query_item_id: slate.dataset.queryItemId,
    item_id: card.dataset.itemId,
    position: cards.indexOf(card) + 1,
  });
  send(...impressionOnce(), tap); // a slate of which an item was opened was seen, however little of it
  rememberTap(card.dataset.itemId);
}

// Half of the slate is on the screen or, where it is longer than the screen, half of the screen is slate.
function isShown(entry) {
  return (
    entry.isIntersecting &&
    (entry.intersectionRatio >= 0.5 || entry.intersectionRect.height >= entry.rootBounds.height / 2)
  );
}

// The impression, the first time that it is asked for; nothing afterwards.
function impressionOnce() {
  if (isTold) return [];
  isTold = true;
  observer.disconnect();
  const { slateId, queryItemId, arms, encoderId, tookMs, randomised, override } = slate.dataset;
  const impression = eventOf("impression", {
    slate_id: slateId,
    query_item_id: queryItemId,
    items: cards.map((card, index) => ({ item_id: card.dataset.itemId, position: index + 1 })),
    arms: arms.split(" ").filter(Boolean),
    encoder_id: encoderId,
    took_ms: Number(tookMs),
    randomised: randomised === "true",
    override: override === "true",
  });
  return [impression];
}

function watch(entries) {
  if (!isTold && entries.some(isShown)) send(...impressionOnce());
}

const everyHundredth = Array.from({ length: 101 }, (_, hundredths) => hundredths / 100);
const observer = new IntersectionObserver(watch, { threshold: everyHundredth });
let isTold = false;

send(eventOf("item_view", { item_id: slate.dataset.queryItemId, ...slateBefore() }));
slate.addEventListener("click", tell);
slate.addEventListener("auxclick", tell); // the middle button opens a new tab
observer.observe(slate);
