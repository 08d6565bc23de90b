import { Refused } from '../../coordinator/refused.ts';
import type { SandboxExample } from './example.ts';
import { exampleIteration5 } from './example-iteration-5.ts';
import { exampleLab } from './example-lab.ts';
import { exampleLinux } from './example-linux.ts';

const examples: readonly SandboxExample[] = [exampleIteration5, exampleLinux, exampleLab];

/** @throws {Error} if there is no example of that name. */
export const exampleNamed = (name: string): SandboxExample => {
  const example = examples.find((each) => each.name === name);
  if (!example)
    throw new Error(`there is no example "${name}", only ${examples.map((each) => each.name).join(', ')}`);
  return example;
};

/** The example of `--kernel mini` or `--kernel linux`. @throws {Refused} if it is neither. */
export const exampleForKernel = (kernel: string): SandboxExample => {
  if (kernel === 'mini') return exampleIteration5;
  if (kernel === 'linux') return exampleLinux;
  throw new Refused(`--kernel ${kernel}: there are mini and linux`);
};
