import { beforeEach, expect, test } from 'vitest'
import { draftsBelongTo, keepDraft, readDraft } from './draft'

beforeEach(() => sessionStorage.clear())

test('what was typed comes back to the same person and to nobody else', () => {
  draftsBelongTo('duty')
  keepDraft('incident.1.reason', 'spread is growing')
  draftsBelongTo('duty')
  expect(readDraft('incident.1.reason')).toBe('spread is growing')
  draftsBelongTo('commander')
  expect(readDraft('incident.1.reason')).toBeUndefined()
  draftsBelongTo('duty')
  expect(readDraft('incident.1.reason')).toBeUndefined()
})

test('what is kept without a name belongs to nobody', () => {
  keepDraft('incident.1.reason', 'whose is this')
  draftsBelongTo('duty')
  expect(readDraft('incident.1.reason')).toBeUndefined()
})
