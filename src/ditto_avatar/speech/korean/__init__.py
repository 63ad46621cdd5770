"""Korean for a voice that only knows letters: numbers, units and foreign words in Hangul, and
Hangul as it sounds. Voices of the services read Korean well and get the text as it is."""
