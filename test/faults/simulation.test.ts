import { execa } from 'execa';
import { expect } from 'vitest';
import { faultRow } from './fault-row.ts';

faultRow(
  'simulation',
  '3,000 schedules of crashes, losses, delays and reorderings, by a seed of this very run, keep every property',
  async () => {
    const seed = String(Date.now() % 1_000_000_000);
    const { exitCode, stdout } = await execa(
      'node',
      ['--import', 'tsx', 'test/simulation/main.ts', '--schedules', '3000', '--seed', seed],
      { reject: false, all: true },
    );
    expect(exitCode, `seed ${seed}: ${stdout}`).toBe(0);
  },
  900_000,
);
