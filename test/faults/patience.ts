/**
 * How long a test waits for an expected event before it fails. It is long for busy machines; a test that has to prove
 * speed measures it itself.
 */
export const patienceMs = 150_000;
