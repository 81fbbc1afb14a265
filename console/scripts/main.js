// Starts the console. What Rust calls by name lies in `globalThis.sluice`; charts come when a page has some.
/* global WASM, CHARTS */
import start from "console";

globalThis.sluice = { charts: () => import(CHARTS) };
const started = start({ module_or_path: WASM });
// For tests of how much it needs.
started.then(({ memory }) => (globalThis.sluice.memory = memory)).catch(() => {});
started.catch((error) => {
  document.documentElement.dataset.failed = "";
  throw error;
});
