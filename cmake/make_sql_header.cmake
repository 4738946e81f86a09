# Writes a header that names each SQL file. Run as: cmake -DOUT= -DFOLDER= -DFILES= -P
set(text "// Generated from ${FOLDER}/sql/.\n#pragma once\n#include \"base/pg.hpp\"\nnamespace ovation::${FOLDER}::sql {\n")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} body)
  string(APPEND text "inline constexpr pg::statement ${name}{\"${FOLDER}_${name}\", R\"sql(${body})sql\"};\n")
endforeach()
string(APPEND text "}\n")
file(WRITE ${OUT} "${text}")
