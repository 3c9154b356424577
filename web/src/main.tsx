import './shell/nonce'
import { createRoot } from 'react-dom/client'
import { Console } from './app'
import { language, speak } from './shell/language'
import './style.css'

await speak(language())
createRoot(document.getElementById('root')!).render(<Console />)
