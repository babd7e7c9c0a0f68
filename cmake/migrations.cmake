# The index's migrations, embedded into the library room: each src/library/migrations/NNN_what.sql becomes a row of
# generated/library_migrations.inc, in order of its number.
file(GLOB migrations CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/library/migrations/*.sql)
list(SORT migrations)
set(rows "")
foreach(migration ${migrations})
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${migration})
  get_filename_component(name ${migration} NAME)
  file(READ ${migration} sql)
  string(APPEND rows "{\"${name}\", R\"sql(${sql})sql\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/library_migrations.inc CONTENT "${rows}" @ONLY)
