import { join } from 'node:path';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { createFailpoints, type Failpoints } from './failpoints.ts';

/**
 * Starts a sandbox fleet for one test, whose daemons can be killed at their failpoints.
 * @param name part of its folder's name.
 */
export const startFailpointFleet = async (
  name: string,
): Promise<{ fleet: TestFleet; points: Failpoints }> => {
  let points: Failpoints | undefined;
  const fleet = await startTestFleet(name, {
    env: async (folder) => {
      points = await createFailpoints(join(folder, 'failpoints'));
      return points.env;
    },
  });
  if (!points) throw new Error('the fleet did not ask for its environment');
  return { fleet, points };
};
