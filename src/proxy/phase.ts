/** Where an exchange stands. */
export const Phase = { IDLE: 0, CONNECTING: 1, WAITING: 2, RELAYING: 3 } as const;
