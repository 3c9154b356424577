// The console in a real browser: one instance and one browser for all of it, in this order.
import { after, before } from 'node:test'
import { Desk } from './desk.mjs'
import { login } from './login.mjs'
import { lost } from './lost.mjs'
import { pages } from './pages.mjs'
import { policy, whole } from './policy.mjs'
import { welcome } from './welcome.mjs'

const desk = new Desk('desk')
before(() => desk.open(), { timeout: 90_000 })
after(() => desk.close())

pages(desk)
welcome(desk)
lost(desk) // before policy, which adds a service: the form that it fills in chooses the only one by itself
policy(desk)
login(desk) // last: some of the team have codes afterwards
whole(desk)
