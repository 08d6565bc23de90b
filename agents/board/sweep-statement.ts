import { hostUri, type TestResultStatement } from '../../schemas/attestation.ts';
import type { Boot } from '../../schemas/boot.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { Cell, PackageFile, StepRequest } from '../../schemas/steps.ts';

/** A finished sweep. */
export interface DoneSweep {
  host: Pick<BoardConfig, 'fleet' | 'host'>;
  iteration: string;
  request: StepRequest<'sweep'>;
  packages: readonly PackageFile[];
  boot: Boot;
  fixtures: readonly { file: string; sha256: string }[];
  table: readonly Cell[];
}

/**
 * A board's statement about a sweep. A test is a row on a path, and has passed if its cell is `ok`: each repeat gave
 * the same bytes, on the device if one has to be used. The board does not judge whether these are the bytes that the
 * plan expects. So PASSED means only that every cell gave a result, and says nothing about how the results compare.
 */
export const sweptStatementOf = ({
  host,
  iteration,
  request,
  packages,
  boot,
  fixtures,
  table,
}: DoneSweep): TestResultStatement => {
  const names = (isMeant: (cell: Cell) => boolean) =>
    table.filter(isMeant).map(({ row, path }) => `${row}/${path}`);
  const failedTests = names(({ status }) => status !== 'ok');
  const { paths, rows, repeats, version } = request;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: packages.map(({ file, sha256: hash }) => ({ name: file, digest: { sha256: hash } })),
    predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
    predicate: {
      result: failedTests.length === 0 ? 'PASSED' : 'FAILED',
      configuration: [
        {
          name: 'boot',
          uri: `${hostUri(host)}:boot:${encodeURIComponent(boot.bootId)}`,
          annotations: { iteration, version, release: boot.release, procVersion: boot.procVersion },
        },
        {
          name: 'sweep',
          digest: { sha256: sha256(JSON.stringify({ paths, rows, repeats })) },
          annotations: { paths, rows, repeats },
        },
        ...fixtures.map(({ file, sha256: hash }) => ({ name: file, digest: { sha256: hash } })),
      ],
      passedTests: names(({ status }) => status === 'ok'),
      warnedTests: [],
      failedTests,
    },
  };
};
