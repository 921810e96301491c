import { configureGlobal } from "fast-check";

/**
 * Loaded before every test file: property tests draw the same cases in every run, so that a failure is somebody's
 * change and not somebody's luck. `FNLB_TEST_SEED` takes another number, or `random` for new cases each time.
 */
const { FNLB_TEST_SEED: given = "20240229" } = process.env;
if (given !== "random") configureGlobal({ seed: Number(given) });
