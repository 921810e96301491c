/** A command could not do what it was asked: one line on standard error, and exit code 1. */
export class Failure extends Error {}
