// Shows /openapi.json. A file of its own, because the page's policy forbids scripts inside it.
//
// Nothing leaves this origin: no validator, no fonts, no telemetry. Tokens are kept in this page's memory only
// and are gone with it.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followSystem = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followSystem);
followSystem();

SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("api"),
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
});
