/**
 * Whether the thorough suite runs: all tests, including the rows of tables that the quick suite leaves out because
 * other rows take the same path. By command: ./ka test thorough
 */
export const isThorough = process.env.KA_TEST_THOROUGH !== undefined;
