import { expect, test } from 'vitest'
import { chosenOf, matchingOf } from './matching'

test('a matching is sent as it was shown, and what is left out stays out', () => {
  for (const m of [{}, { gap: 0 }, { fold: 'strict' as const, word: false }, { gap: 8, sound: false, spell: true, parts: true, repeat: false }]) expect(matchingOf(chosenOf(m))).toEqual(m)
  expect(matchingOf({ gap: null, fold: undefined, sound: undefined })).toEqual({})
  expect(matchingOf(undefined)).toEqual({})
})
