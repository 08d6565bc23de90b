import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exampleFolder } from './ka.ts';

export interface PlanVariant {
  /** The iteration's name, in place of `iter5`. */
  iteration: string;
  /** The folders below the example's `variants` whose patches replace the example's own. */
  variants?: readonly string[];
  /** Texts of the plan and their replacements; the plan has to hold each text. */
  plan?: readonly (readonly [string | RegExp, string])[];
  /** The same for patches, by file. */
  patches?: Readonly<Record<string, readonly (readonly [string | RegExp, string])[]>>;
  /** Patches whose files are removed. */
  without?: readonly string[];
}

const replaced = (text: string, replacements: readonly (readonly [string | RegExp, string])[]): string =>
  replacements.reduce((before, [from, to]) => {
    if (before.split(from).length < 2) throw new Error(`the example does not hold ${from}`);
    return before.replace(from, to);
  }, text);

/**
 * Writes iteration 5's plan and patches into a separate folder below `folder`, changed as asked.
 * @returns the plan's file.
 */
export const planVariant = async (
  folder: string,
  { iteration, variants = [], plan = [], patches = {}, without = [] }: PlanVariant,
): Promise<string> => {
  const own = join(folder, iteration);
  const file = join(own, 'plan.yaml');
  await cp(join(exampleFolder, 'patches'), join(own, 'patches'), { recursive: true });
  for (const variant of variants)
    await cp(join(exampleFolder, 'variants', variant), join(own, 'patches'), { recursive: true });
  for (const [name, replacements] of Object.entries(patches)) {
    const patch = join(own, 'patches', name);
    await writeFile(patch, replaced(await readFile(patch, 'utf8'), replacements));
  }
  for (const name of without) await rm(join(own, 'patches', name));
  const text = await readFile(join(exampleFolder, 'plan.yaml'), 'utf8');
  await writeFile(file, replaced(text, [['iteration: iter5', `iteration: ${iteration}`], ...plan]));
  return file;
};
