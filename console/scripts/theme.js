// Runs before the first paint: the colours and the language that were chosen last time.
const stored = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
};
const root = document.documentElement;
const theme = stored("sluice.theme");
if (theme === "light" || theme === "dark") root.dataset.theme = theme;
const first = stored("sluice.language") ?? navigator.languages?.[0] ?? "en";
root.lang = first.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
