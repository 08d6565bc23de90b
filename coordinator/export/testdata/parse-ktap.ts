/** A test of a KTAP document. */
export interface KtapTest {
  name: string;
  ok: boolean;
  directive?: string;
  /** The text after the directive, or after the `#` if there is no directive. */
  data: string;
  tests: KtapTest[];
}

const directives = ['SKIP', 'TODO', 'XFAIL', 'TIMEOUT', 'ERROR'];

const resultLine = /^(ok|not ok) ([1-9][0-9]*) ([^#]*[^# ])(?: # (.+))?$/;

/**
 * Parses KTAP version 1 strictly by the grammar of docs.kernel.org/dev-tools/ktap.html: every level has a plan and
 * keeps it, numbers count from 1, a level is two spaces, a test fails if one within it does, and every line is one of
 * the four kinds.
 * @throws {Error} naming the line.
 */
export const parseKtap = (text: string): KtapTest[] => {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const lines = text.slice(0, -1).split('\n');
  let at = 0;
  const refuse = (why: string): never => {
    throw new Error(`line ${at + 1}: ${why}: ${JSON.stringify(lines[at])}`);
  };
  const level = (indent: string): KtapTest[] => {
    const line = (): string | undefined => {
      const whole = lines[at];
      return whole?.startsWith(indent) ? whole.slice(indent.length) : undefined;
    };
    if (line() !== 'KTAP version 1') refuse('no version line');
    at += 1;
    const plan = /^1\.\.(0|[1-9][0-9]*)$/.exec(line() ?? '') ?? refuse('no plan');
    at += 1;
    const found: KtapTest[] = [];
    let within: KtapTest[] | undefined;
    for (; ; at += 1) {
      const current = line();
      if (current === undefined) break;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the parser looks for them
      if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(current)) refuse('a control character');
      if (current.startsWith('# ')) continue;
      if (current === '  KTAP version 1') {
        if (within) refuse('two sets of subtests for one test');
        within = level(`${indent}  `);
        at -= 1;
        continue;
      }
      const [, result, number, name = '', rest = ''] = resultLine.exec(current) ?? refuse('an unknown line');
      if (Number(number) !== found.length + 1) refuse(`number ${found.length + 1} is due`);
      const ok = result === 'ok';
      const [word = '', ...others] = rest.split(' ');
      const directive = directives.find((one) => one === word);
      if (ok && (directive === 'ERROR' || directive === 'TIMEOUT')) refuse('an error that is ok');
      const fails = within?.some((one) => !one.ok && one.directive !== 'SKIP') ?? false;
      if (ok && fails) refuse('it passes and a test within it fails');
      found.push({
        name,
        ok,
        ...(directive === undefined ? {} : { directive }),
        data: directive === undefined ? rest : others.join(' '),
        tests: within ?? [],
      });
      within = undefined;
    }
    if (within) refuse('the subtests have no test');
    if (found.length !== Number(plan[1])) refuse(`the plan says ${plan[1]}, there are ${found.length}`);
    return found;
  };
  const tests = level('');
  if (at < lines.length) refuse('another level');
  return tests;
};
