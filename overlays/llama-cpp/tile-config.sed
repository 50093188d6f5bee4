# GCC before 12.4 and 13.3 does not see that `_tile_loadconfig` reads all 64 bytes, and drops their
# initialization: the first AMX instruction is then illegal (GCC bug 114098).
s/_tile_loadconfig\(&(\w+)\);/__asm__ volatile("" : : "m"(\1)); &/
s/_tile_storeconfig\(&(\w+)\);/& __asm__ volatile("" : "+m"(\1));/
