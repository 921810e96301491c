// Hot path: a short list is tried one by one, a long one is asked by what the request has.
import { readLatin1 } from "../http1/chars.js";
import type { RequestHead } from "../http1/request-head.js";
import type { Route } from "./route.js";

/** Up to here, trying all is as fast as looking up a value. */
const TRIED_MAX = 8;

/**
 * The routes of one host and path, which differ in methods and fields. Hundreds of them, one for each tenant of a
 * header, cost a request no more than a few: those that ask for a value are found by it.
 */
export class RouteList {
  readonly #routes: Route[] = [];
  /** Places in `#routes` of those that ask for no value, ascending, as all lists of places here. */
  readonly #withoutValue: number[] = [];
  /** For each name of a field the places of the routes that ask for each of its values. */
  readonly #byField = new Map<string, Map<string, number[]>>();

  /** The more specific ones first (`Route.compare`). */
  add(route: Route): void {
    const place = this.#routes.push(route) - 1;
    const field = route.valuedField;
    if (field === undefined) {
      this.#withoutValue.push(place);
      return;
    }
    const byValue = this.#byField.get(field.lowerName) ?? new Map<string, number[]>();
    this.#byField.set(field.lowerName, byValue);
    const places = byValue.get(field.value);
    if (places === undefined) byValue.set(field.value, [place]);
    else places.push(place);
  }

  /** The first that accepts the request. */
  find(head: RequestHead, buffer: Buffer): Route | undefined {
    const routes = this.#routes;
    if (routes.length > TRIED_MAX) return routes[this.#findPlace(head, buffer)];
    for (let place = 0; place < routes.length; place++) if (routes[place].accepts(head, buffer)) return routes[place];
    return undefined;
  }

  #findPlace(head: RequestHead, buffer: Buffer): number {
    const { fields } = head;
    let best = this.#firstOf(this.#withoutValue, this.#routes.length, head, buffer);
    for (const [name, byValue] of this.#byField) {
      for (let index = fields.find(buffer, name); index >= 0; index = fields.find(buffer, name, index + 1)) {
        const places = byValue.get(readLatin1(buffer, fields.valueStart[index], fields.valueEnd[index]));
        if (places !== undefined) best = this.#firstOf(places, best, head, buffer);
      }
    }
    return best;
  }

  /** The first of `places` before `limit` whose route accepts the request, else `limit`. */
  #firstOf(places: readonly number[], limit: number, head: RequestHead, buffer: Buffer): number {
    for (let index = 0; index < places.length && places[index] < limit; index++) {
      if (this.#routes[places[index]].accepts(head, buffer)) return places[index];
    }
    return limit;
  }
}
