// Starts the console. What Rust calls by name lies in `globalThis.sluice`; charts come when a page has some.
/* global WASM, CHARTS */
import start from "console";

globalThis.sluice = { charts: () => import(CHARTS) };
start({ module_or_path: WASM }).catch((error) => {
  document.documentElement.dataset.failed = "";
  throw error;
});
