import { faultRow } from './fault-row.ts';
import { aroundElsewhere, closesKilledAt } from './killed-anywhere.ts';

faultRow(
  'killed-anywhere',
  'iteration 5 closes, coordinator, builder and publisher killed at every boundary of every effect, of the runtime and of the coordinator',
  closesKilledAt('killed', aroundElsewhere, 'alone'),
  900_000,
);
