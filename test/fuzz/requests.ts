import fc from 'fast-check';
import { z } from 'zod';
import { requestFor } from '../../coordinator/decider/requests.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import { stepEventType } from '../../schemas/events.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import { steps } from '../../schemas/steps.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, mutated } from './hostile.ts';

/**
 * The members of a request that hold free text. None of them becomes an argument or a path. `title` and `text` go to
 * git as contents of a commit object and of files, the series to git by standard input, only the code of `reason` into
 * a line of output. The content of a backup (`files[].path`) comes from the board itself and is at most
 * compared.
 */
export const freeTexts: ReadonlySet<string> = new Set([
  'land.title',
  // Only hashed, and read as a plan whose parts are compared.
  ...['land.approved', 'build.approved', 'publish.provenance', 'install.provenance'].map(
    (at) => `${at}.planText`,
  ),
  ...[
    'record.title',
    'record.files[].content.text',
    'record.files[].content.as',
    'record.replacements[].before',
    'record.replacements[].after',
  ],
  // Only compared with the one existing type.
  ...['publish', 'install'].map((step) => `${step}.provenance.attestation.payloadType`),
  ...['install', 'reboot', 'rollback'].map((step) => `${step}.backup.files[].path`),
]);

/** The facts of a reason are for people, except its code. A reason of a newer version may hold any text. */
const isFree = (path: string): boolean =>
  freeTexts.has(path) || (path.startsWith('rollback.reason.') && path !== 'rollback.reason.code');

/** Bytes in base64: they are decoded and never used as a name. */
const isEncoded = (path: string): boolean => /\.(payload|sig|bytes|signature|base64)$/.test(path);

interface JsonSchema {
  type?: string;
  pattern?: string;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

/** The strings of a schema: their paths, and the patterns that they have to match. */
const stringsOf = (schema: JsonSchema, path: string): { path: string; pattern: string | undefined }[] => {
  if (schema.enum !== undefined || schema.const !== undefined) return [];
  if (schema.type === 'string') return [{ path, pattern: schema.pattern }];
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => stringsOf(inner, `${path}.${key}`)),
    ...(schema.items ? stringsOf(schema.items, `${path}[]`) : []),
    ...(schema.anyOf ?? []).flatMap((inner) => stringsOf(inner, path)),
  ];
};

/** Every string that a request may hold. */
export const requestStrings = () =>
  stepNames.flatMap((step) =>
    stringsOf(
      z.toJSONSchema(steps[step].request, { io: 'input', unrepresentable: 'any' }) as JsonSchema,
      step,
    ),
  );

/** Why a text may not be a name, a version or a path of this fleet. */
const unsafe = (text: string): string | undefined => {
  if (text.startsWith('-')) return 'begins with "-"';
  if (text.startsWith('/') || text.startsWith('~')) return 'is an absolute path';
  if (text === '') return 'is empty';
  if (text.split('/').some((part) => part === '..' || part === '.' || part === '')) return 'leads elsewhere';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the check looks for them
  if (/[\s\u0000-\u0020\u007f-\uffff*?$`|&;<>(){}'"\\%!=#,[\]]/.test(text))
    return 'holds what a program may act on';
  return undefined;
};

const textsIn = (value: unknown, path: string): { path: string; text: string }[] => {
  if (typeof value === 'string') return [{ path, text: value }];
  if (Array.isArray(value)) return value.flatMap((inner) => textsIn(inner, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, `${path}.${key}`));
};

/**
 * Requests with any content: in those that a host accepts, no string except free text can act as an option or lead to
 * another folder.
 */
export const requests = pureTarget('requests', 40, () => {
  const history = historyOf(...until('close'));
  const good = stepNames.flatMap((step) => {
    const asked = history.events.find(({ event }) => event.type === stepEventType(step, 'Requested'));
    const request =
      step === 'rollback'
        ? requestFor(history.iteration(), step, { code: 'aborted', by: 'mfritsche', says: 'lunch' })
        : asked && (asked.event.data as { request: unknown }).request;
    return request === undefined ? [] : [{ step, request }];
  });
  const patterns = requestStrings().flatMap(({ path, pattern }) =>
    pattern === undefined || isEncoded(path) ? [] : [pattern],
  );
  return {
    input: fc.oneof(
      fc
        .constantFrom(...good)
        .chain(({ step, request }) => mutated(request, 2).map((changed) => ({ step, request: changed }))),
      // Any text that a pattern accepts.
      fc
        .constantFrom(...patterns)
        .chain((pattern) => fc.stringMatching(new RegExp(pattern)).map((text) => ({ pattern, text }))),
      fc.constantFrom(...patterns).chain((pattern) => hostileText.map((text) => ({ pattern, text }))),
    ) as fc.Arbitrary<{ step: StepName; request: unknown } | { pattern: string; text: string }>,
    hold: (input) => {
      if ('pattern' in input) {
        const why = new RegExp(input.pattern).test(input.text) ? unsafe(input.text) : undefined;
        if (why !== undefined)
          throw new Error(`${JSON.stringify(input.text)} is taken for a name, and ${why}`);
        return;
      }
      const taken = steps[input.step].request.safeParse(input.request);
      if (!taken.success) return;
      for (const { path, text } of textsIn(taken.data, input.step)) {
        const why = isFree(path) || isEncoded(path) ? undefined : unsafe(text);
        if (why !== undefined) throw new Error(`${path} is taken as ${JSON.stringify(text)}, which ${why}`);
      }
    },
  };
});
