import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { attackTable, parties } from './attacks/attack-table.ts';

const folder = join(import.meta.dirname, 'attacks');
const trust = readFileSync(resolve(import.meta.dirname, '../docs/trust.md'), 'utf8');

describe('the attack table', () => {
  const ids = attackTable.map(({ id }) => id);

  it('is in the order of its ids, each of which is there once', () => {
    expect(ids).toEqual([...new Set(ids)].sort());
  });

  it('has a file of its own for each attack, and no other', () => {
    const tests = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
    expect(tests.sort()).toEqual(ids.map((id) => `${id}.test.ts`));
  });

  it('names in each file the row that it proves', () => {
    const proves = (id: string) => readFileSync(join(folder, `${id}.test.ts`), 'utf8').includes(`'${id}'`);
    expect(ids.filter((id) => !proves(id))).toEqual([]);
  });

  it('has parties of which docs/trust.md says what each can do at most', () => {
    const section = trust.split('\n## What each party can do at most\n')[1]?.split('\n## ')[0] ?? '';
    const described = [...section.matchAll(/^\| (?!---|party)([^|]+) \|/gm)].map(([, party]) => party);
    expect(described).toEqual(parties);
  });
});
