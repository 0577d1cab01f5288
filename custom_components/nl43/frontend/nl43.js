// What each page of Home Assistant loads: the cards and the dashboard of the integration.

// While it starts, Home Assistant puts its own registry of elements, and its own HTMLElement, in the place of the
// browser's: what was defined before is lost to it. Its own elements it defines after that.
customElements.whenDefined("home-assistant").then(() => {
  import("./card.js");
  import("./meters-card.js");
  import("./strategy.js");
  import("./strategy-editor.js");
});
