import type { Server } from "node:net";
import { AdminApi, type AdminSettings } from "../admin/admin-api.js";
import { type AdminServer, openAdminServer, type ServedCertificates } from "../admin/admin-server.js";
import { History } from "../admin/dashboard/history.js";
import { adminRoutes } from "../admin/routes/admin-routes.js";
import type { AdminSubject } from "../admin/routes/subject.js";
import { type AdminAddress, type AdminChoice, adminTls, isOwnMachine } from "../config/admin.js";
import { listenName } from "../config/listen-address.js";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import type { Operations } from "../core/operations.js";
import { FnlbError } from "../errors.js";
import { bindServer } from "../system/bind.js";
import type { Keyring } from "../system/keyring.js";
import { packageVersion } from "../system/package-version.js";
import { readRuntime } from "../system/runtime-meter.js";
import { type Dashboard, openDashboard } from "./dashboard.js";

export interface AdminDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly keyring: Keyring;
}

/** The balancer that operators see. Asked once requests come: it is not whole yet when this is made. */
export type Administered = Pick<AdminSubject, "config" | "placeOf" | "logLevel"> & {
  readonly operations: () => Operations;
};

/** What has been opened for another config, until it is either put to use or given up. */
export interface OpenedAdmin {
  /** Closes what the new config does not name; requests that run there have a second. */
  commit(): void;
  discard(): Promise<void>;
}

/** The admin listener that is open, and what it answers with. */
interface OpenAdmin {
  readonly server: AdminServer;
  readonly api: AdminApi;
  readonly dashboard: Dashboard;
  readonly key: string;
  /** Its token can be read by whoever is in between. */
  readonly isInClear: boolean;
}

const IN_CLEAR =
  "the token of the admin API is sent in the clear: give it --admin-tls-cert, or a network that you trust";

type OnAddress = Exclude<AdminAddress, { readonly kind: "off" }>;

/** The admin API of a balancer, over all its configs. */
export class Admin {
  readonly #dependencies: AdminDependencies;
  readonly #about: Administered;
  #open: OpenAdmin | undefined;
  /** Old ones that answer their last requests. */
  readonly #closing = new Set<Promise<void>>();

  constructor(dependencies: AdminDependencies, about: Administered) {
    this.#dependencies = dependencies;
    this.#about = about;
  }

  /** Bound address, such as `127.0.0.1:9081`; undefined while it is off. */
  get address(): string | undefined {
    return this.#open?.server.address;
  }

  /**
   * Opens the listener of a config, whose certificates the keyring has, unless it is open. Rejects with `ERR_LISTEN`
   * or `ERR_OPTION`, and then nothing has changed.
   */
  async open(config: AdminChoice): Promise<OpenedAdmin> {
    const { admin: address } = config;
    const before = this.#open;
    if (address.kind === "off") return { commit: () => this.#replace(undefined), discard: async () => {} };
    const key = keyOf(address, config);
    if (before?.key === key) return { commit: () => this.#adopt(before, address, config), discard: async () => {} };
    if (before !== undefined && isSamePlace(before.key, key)) {
      throw new FnlbError(
        "ERR_OPTION",
        'option "admin" must be another address to turn TLS or client certificates on or off',
      );
    }
    const isInClear = adminTls(config) === undefined && !isOwnMachine(address);
    const opened = { ...(await this.#openOne(address, config)), key, isInClear };
    return { commit: () => this.#replace(opened), discard: () => closeOne(opened) };
  }

  async #openOne(address: OnAddress, config: AdminChoice): Promise<Omit<OpenAdmin, "key" | "isInClear">> {
    const { clock, log, counters } = this.#dependencies;
    const history = new History();
    const subject: AdminSubject = {
      ...this.#about,
      operations: this.#about.operations(),
      recentOf: (cluster, node) => history.recent(cluster, node),
      readRuntime,
      wallNow: () => clock.wallNow(),
      version: packageVersion(),
      pid: process.pid,
    };
    const dashboard = await openDashboard({ clock, counters, history }, subject);
    const api = new AdminApi({ clock, log, counters }, adminRoutes(subject, dashboard), settingsOf(address, config));
    try {
      const server = await openAdminServer({ clock, bind: bindAdmin }, api, {
        address,
        certificates: this.#certificatesOf(config),
        asksCertificates: config.adminClientCaFile !== "",
      });
      return { server, api, dashboard };
    } catch (error) {
      await dashboard.close();
      throw error;
    }
  }

  #certificatesOf(config: AdminChoice): ServedCertificates | undefined {
    const tls = adminTls(config);
    return tls && this.#dependencies.keyring.certificatesOf(tls);
  }

  #adopt({ server, api }: OpenAdmin, address: OnAddress, config: AdminChoice): void {
    api.settings = settingsOf(address, config);
    const certificates = this.#certificatesOf(config);
    if (certificates !== undefined) server.secure(certificates);
  }

  #replace(opened: OpenAdmin | undefined): void {
    const { log } = this.#dependencies;
    const before = this.#open;
    this.#open = opened;
    if (opened !== undefined) {
      const { address } = opened.server;
      log.info({ event: "admin_listening", address }, `admin API at ${address}`);
      if (opened.isInClear) log.warn({ event: "admin_in_clear", address }, IN_CLEAR);
    }
    if (before === undefined) return;
    log.info({ event: "admin_closed", address: before.server.address });
    const closing = closeOne(before);
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  /** Resolves when nothing of it is open. Twice is fine. */
  async close(): Promise<void> {
    this.#replace(undefined);
    await Promise.all(this.#closing);
  }
}

async function closeOne({ server, dashboard }: OpenAdmin): Promise<void> {
  await Promise.all([server.close(), dashboard.close()]);
}

/** Its unix socket is for the user only that fnlb runs as. */
function bindAdmin(server: Server, address: OnAddress): Promise<string> {
  return bindServer(server, address, { socketMode: 0o600, complaint: "the admin API cannot listen: " });
}

function settingsOf(address: OnAddress, config: AdminChoice): AdminSettings {
  const { adminToken: token, adminClientCaFile, adminConnectionsMax: connectionsMax } = config;
  const host = address.kind === "tcp" ? address.host : undefined;
  return { token, takesCertificates: adminClientCaFile !== "", host, connectionsMax };
}

/** What a listener cannot change while it is open. */
function keyOf(address: OnAddress, { adminTlsCertFile, adminClientCaFile }: AdminChoice): string {
  const tls = adminTlsCertFile === "" ? "" : " tls";
  return `${listenName(address)}${tls}${adminClientCaFile === "" ? "" : " clients"}`;
}

function isSamePlace(one: string, other: string): boolean {
  const [place] = one.split(" tls");
  // Port 0 is another port each time.
  return place === other.split(" tls")[0] && !place.endsWith(":0");
}
