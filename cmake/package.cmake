# What other CMake projects need to link with the installed library: find_package(LowRank), target LowRank::lowrank.
if(TARGET lowrank_engine)
  include(CMakePackageConfigHelpers)
  set(package_dir lib/cmake/LowRank)
  install(TARGETS lowrank_engine EXPORT LowRankTargets LIBRARY DESTINATION lib/lowrank INCLUDES DESTINATION include)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/lowrank DESTINATION include FILES_MATCHING PATTERN "*.h")
  install(EXPORT LowRankTargets NAMESPACE LowRank:: DESTINATION ${package_dir})
  configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/LowRankConfig.cmake.in ${CMAKE_BINARY_DIR}/LowRankConfig.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/LowRankConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/LowRankConfig.cmake ${CMAKE_BINARY_DIR}/LowRankConfigVersion.cmake DESTINATION ${package_dir})
endif()
