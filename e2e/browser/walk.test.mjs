// Case A.2 by clicks, at a desk and on a telephone, on an instance of its own.
import { after, before } from 'node:test'
import { Desk } from './desk.mjs'
import { whole } from './policy.mjs'
import { walk } from './walk.mjs'

const desk = new Desk('walk')
before(() => desk.open(), { timeout: 90_000 })
after(() => desk.close())

walk(desk)
whole(desk)
