/**
 * Whether the thorough suite runs: all tests, and those rows of tables that the quick one leaves out because others of the
 * same table take the same way. By command: ./ka test thorough
 */
export const isThorough = process.env.KA_TEST_THOROUGH !== undefined;
