# ovation_sql(folder): build/<folder>/sql.hpp with one pg::statement for each file of <folder>/sql/.
function(ovation_sql folder)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/sql/*.sql)
  set(out ${CMAKE_BINARY_DIR}/generated/${folder}/sql.hpp)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DFOLDER=${folder} "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/make_sql_header.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/make_sql_header.cmake VERBATIM)
  add_custom_target(${folder}_sql DEPENDS ${out})
endfunction()
