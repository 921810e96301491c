import { byId, create, setText } from "./document.js";

/** Chooses one of several clusters; not there for one. The choice stands in the address, so that a link keeps it. */
export class Tabs {
  #list = byId("tabs");
  #panel = byId("cluster");
  /** @type {Map<string, { readonly button: HTMLButtonElement, readonly count: HTMLElement }>} */
  #tabs = new Map();
  #chosen = "";
  #onChoice;

  /** @param {(cluster: string) => void} onChoice */
  constructor(onChoice) {
    this.#onChoice = onChoice;
    this.#chosen = chosenInAddress();
    addEventListener("hashchange", () => this.choose(chosenInAddress()));
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get chosen() {
    return this.#chosen;
  }

  /**
   * @param {readonly import("./shapes.js").ClusterShape[]} clusters
   * @returns {string | undefined} the name of the cluster that was shown and is no more
   */
  update(clusters) {
    const names = clusters.map(({ name }) => name);
    const gone = this.#tabs.has(this.#chosen) && !names.includes(this.#chosen) ? this.#chosen : undefined;
    const isNew = [...this.#tabs.keys()].join("\n") !== names.join("\n");
    if (isNew) this.#rebuild(names);
    for (const { name, serving, nodes } of clusters) {
      const tab = this.#tabs.get(name);
      if (tab === undefined) continue;
      setText(tab.count, `${serving}/${nodes} serving`);
      tab.count.className = `count ${serving === nodes ? "" : serving === 0 ? "bad" : "warn"}`;
    }
    if (!names.includes(this.#chosen) && names.length > 0) this.choose(names[0]);
    if (isNew) this.#reveal();
    return gone;
  }

  /** @param {string} name */
  choose(name) {
    if (!this.#tabs.has(name) || name === this.#chosen) return;
    this.#chosen = name;
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    this.#mark();
    this.#reveal();
    this.#onChoice(name);
  }

  /** @param {readonly string[]} names */
  #rebuild(names) {
    this.#tabs = new Map(
      names.map((name) => {
        const button = create("button", "", name);
        const count = create("span", "count");
        button.type = "button";
        button.id = `tab-${name}`;
        button.setAttribute("role", "tab");
        button.setAttribute("aria-controls", "cluster");
        button.append(" ", count);
        button.addEventListener("click", () => this.choose(name));
        return [name, { button, count }];
      }),
    );
    this.#list.replaceChildren(...[...this.#tabs.values()].map(({ button }) => button));
    this.#list.hidden = names.length < 2;
    if (this.#list.hidden) {
      this.#panel.removeAttribute("role");
      this.#panel.removeAttribute("aria-labelledby");
    } else this.#panel.setAttribute("role", "tabpanel");
    this.#mark();
  }

  #mark() {
    for (const [name, { button }] of this.#tabs) {
      const isChosen = name === this.#chosen;
      button.setAttribute("aria-selected", `${isChosen}`);
      button.tabIndex = isChosen ? 0 : -1;
      if (isChosen && !this.#list.hidden) this.#panel.setAttribute("aria-labelledby", button.id);
    }
  }

  /** A link may lead to the last one of fifty. The list alone is moved: the page stays where somebody reads. */
  #reveal() {
    const button = this.#tabs.get(this.#chosen)?.button;
    if (button === undefined) return;
    const [own, list] = [button.getBoundingClientRect(), this.#list.getBoundingClientRect()];
    if (own.left < list.left) this.#list.scrollLeft -= list.left - own.left;
    else if (own.right > list.right) this.#list.scrollLeft += own.right - list.right;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const names = [...this.#tabs.keys()];
    const at = names.indexOf(this.#chosen);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + names.length, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const name = names[next % names.length];
    this.choose(name);
    this.#tabs.get(name)?.button.focus();
  }
}

/** The name of a cluster, or whatever else somebody wrote there. */
function chosenInAddress() {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text);
  } catch {
    // "%" alone is no name.
    return text;
  }
}
