export type AddressFamily = 4 | 6;

export interface AddressRecord {
  /** A literal, as RFC 5952 writes it. */
  readonly address: string;
  readonly ttlMs: number;
}

/** An SRV record, RFC 2782. */
export interface ServiceRecord {
  /** Host name without a dot at its end; "" or "." says that the service is not there. */
  readonly target: string;
  readonly port: number;
  /** The lowest number comes first. */
  readonly priority: number;
  /** 0 to 65,535, relative to the others of the same priority. */
  readonly weight: number;
}

/** Questions to the resolvers of this machine. A name that does not exist or has no such records has none of them. */
export interface Lookup {
  /** Rejects with a `code` when nobody gives an answer. */
  addresses(name: string, family: AddressFamily): Promise<readonly AddressRecord[]>;
  /** Rejects with a `code` when nobody gives an answer. */
  services(name: string): Promise<readonly ServiceRecord[]>;
  /** Gives up what is still asked, which then rejects. Twice is fine. */
  close(): void;
}

export type OpenLookup = () => Lookup;
