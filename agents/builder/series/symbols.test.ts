import { describe, expect, it } from 'vitest';
import { findSymbols, type SymbolInTree } from './find-symbols.ts';
import { parsePatch, patchsetHash, readSeries } from './series.ts';
import { readSymbols } from './symbols.ts';

/** A patch that adds lines to a file, below existing ones. */
const adding = (path: string, added: string, { there = '', context = '' } = {}): string => {
  const old = there === '' ? [] : there.split('\n');
  const lines = [...old.map((line) => ` ${line}`), ...added.split('\n').map((line) => `+${line}`)];
  return `--- a/${path}\n+++ b/${path}\n@@ -10,${old.length} +10,${lines.length} @@ ${context}\n${lines.join('\n')}\n`;
};

const uses = (code: string, options?: Parameters<typeof adding>[2]) => {
  const { uses, types } = readSymbols(adding('drivers/x.c', code, options));
  return [...uses, ...types].sort();
};
const defines = (code: string, options?: Parameters<typeof adding>[2]) =>
  [...readSymbols(adding('include/x.h', code, options)).defines].sort();

describe('readSymbols', () => {
  it('finds calls, constants and tagged types', () => {
    expect(
      uses('\tret = dma_resv_lock(resv, NULL);\n\tif (x == -EIO)\n\t\tstruct dma_fence *f = to_f(y);'),
    ).toEqual(['EIO', 'dma_fence', 'dma_resv_lock', 'to_f']);
  });

  it.each([
    ['members', '\tops->queue(x);\n\tp.start(1);\n\tq->FLAG = 1;'],
    ['strings and comments', '\tx = "call(me) FLAG"; /* call(me) FLAG\n\t * other(FLAG) */ // third(FLAG)'],
    ['function pointers of its own', '\tint (*cb)(int) = y;\n\tcb(1);'],
    ['parameters', 'static int foo(work_fn_t fn, int COUNT)\n{\n\treturn fn(COUNT);\n}'],
    ['labels', 'OUT:\n\tgoto OUT;'],
    ['conditions of the preprocessor', '#ifdef HAVE_SOMETHING\n#if IS_NEW(OTHER)\n#endif'],
    ['Kconfig', '\tif (CONFIG_FOO)\n\t\tx = 1;'],
    ['keywords', '\tif (sizeof(x) > 1)\n\t\treturn (1);\n\twhile (true) ;'],
    ['a macro’s own parameters', '#define twice(fn, N) (fn(N) + fn(N))'],
  ])('does not count %s', (_, code) => {
    expect(uses(code)).toEqual([]);
  });

  it('recognizes the rest of a comment, wherever the hunk begins', () => {
    expect(uses(' * call(me) with FLAG\n */\n\treal();')).toEqual(['real']);
    expect(uses(' * call(me) with FLAG', { there: ' * @vb: struct vb2_buffer' })).toEqual([]);
  });

  it('finds what a patch defines', () => {
    expect(
      defines(`struct fence {
	int base;
};
enum usage {
	USAGE_READ,
	USAGE_WRITE = 2,
};
#define FENCE_MAX 3
#define fence_of(x) container_of(x, struct fence, base)
typedef int (*fence_fn)(int);
int fence_attach(struct fence *fence);
static const struct ops fence_ops = {
	.get = fence_get,
};
static inline char *
fence_name(struct fence *fence)
{
	struct fence *other;
	return helper(fence);
}
EXPORT_SYMBOL_GPL(fence_name);`),
    ).toEqual(
      [
        ...['fence', 'usage', 'USAGE_READ', 'USAGE_WRITE', 'FENCE_MAX', 'fence_of', 'fence_fn'],
        ...['fence_attach', 'fence_ops', 'fence_name'],
      ].sort(),
    );
  });

  it('tells an enumerator from an argument and a value', () => {
    expect(defines('\tUSAGE_NEW,', { context: 'enum usage {' })).toEqual(['USAGE_NEW']);
    expect(uses('\tcall(a,\n\t     FLAG,\n\t     1);')).toEqual(['FLAG', 'call']);
    expect(uses('\tFLAG,', { context: 'static const int flags[] = {' })).toEqual(['FLAG']);
    // In doubt, neither.
    expect(uses('\tFLAG,')).toEqual([]);
    expect(defines('\tFLAG,')).toEqual([]);
  });

  it('looks at nothing but C', () => {
    expect(readSymbols(adding('a.dts', '\tfoo = call(FLAG);')).uses.size).toBe(0);
  });
});

const read = (file: string, patch: string) => ({ file, symbols: readSymbols(patch) });
const tree = (found: Record<string, number>) => async (names: readonly string[]) =>
  new Map<string, SymbolInTree>(
    names.map((name) => [name, { hits: found[name] ?? 0, definedIn: null, exported: false }]),
  );

describe('findSymbols', () => {
  const helper = read(
    '1.patch',
    adding('a.c', 'int attach(int x)\n{\n\treturn lock(x);\n}\nEXPORT_SYMBOL(attach);'),
  );
  const consumer = read('2.patch', adding('b.c', '\tattach(1);', { context: 'void f(void)' }));

  it('judges each symbol by tree, series and order', async () => {
    const { table } = await findSymbols(['listed'], [helper, consumer], tree({ lock: 3 }));
    expect(table.map(({ symbol, status, usedBy }) => [symbol, status, usedBy])).toEqual([
      ['listed', 'missing', []],
      ['attach', 'from-series', ['1.patch', '2.patch']],
      ['lock', 'found', ['1.patch']],
    ]);
    expect(table[1]).toMatchObject({ exported: true, definedIn: '1.patch', hits: 0 });
    const turned = await findSymbols([], [consumer, helper], tree({ lock: 3 }));
    expect(turned.table[0]).toMatchObject({ symbol: 'attach', status: 'defined-later' });
  });

  it('leaves out names that a macro may have made', async () => {
    const traced = read(
      '1.patch',
      adding('a.c', 'TRACE_EVENT(fence_put,\n\tTP_PROTO(int x)\n);\n\ttrace_fence_put(1);'),
    );
    const { table } = await findSymbols([], [traced], tree({ TRACE_EVENT: 9, TP_PROTO: 9 }));
    expect(table.filter(({ status }) => status === 'missing')).toEqual([]);
    const clock = read('1.patch', adding('a.c', '\tGATE(ACLK_NEW, 1);'));
    expect((await findSymbols([], [clock], tree({ GATE: 9 }))).table.map(({ symbol }) => symbol)).toEqual([
      'GATE',
    ]);
  });
});

describe('a series', () => {
  const patch = {
    file: '1.patch',
    base64: Buffer.from('x\n').toString('base64'),
    sha256: '73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac',
  };

  it('has the identity that KernelCI computes', () => {
    // printf 'x\n' > 1.patch; sha256sum 1.patch 1.patch | cut -c-64 | sha256sum
    expect(patchsetHash([...readSeries([patch]), ...readSeries([patch])])).toBe(
      '3f7aec396556c7e5b1af2978db508c77e2d2b25ce5dd62bad6ddae2c0e7f8f06',
    );
  });

  it('is refused with other bytes, and with a file twice', () => {
    expect(() => readSeries([patch])).not.toThrow();
    expect(() => readSeries([{ ...patch, base64: Buffer.from('y\n').toString('base64') }])).toThrow(
      '1.patch has the sha256',
    );
    expect(() => readSeries([patch, patch])).toThrow('twice');
  });

  it('does not take a removed "-- " for the end of the mail, nor a removed comment for a file', () => {
    const text = '--- a/x.sql\n+++ b/x.sql\n@@ -1,3 +1,2 @@\n a\n--- old\n-- \n+new\n-- \n2.39.5\n';
    expect(parsePatch(text)).toHaveLength(1);
    expect(parsePatch(text)[0]?.hunks[0]?.lines).toEqual([' a', '--- old', '-- ', '+new']);
  });
});

it('reads a line of two hundred thousand words quickly', () => {
  const startedAt = performance.now();
  const line = '({'.repeat(100_000);
  expect(readSymbols(`--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+f${line}\n`).uses).toEqual(new Set(['f']));
  expect(performance.now() - startedAt).toBeLessThan(5000);
});
